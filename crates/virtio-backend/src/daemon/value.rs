// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Values of the configuration file as serde reads them, with errors that know the key, the element
//! and the place, and say what is allowed in the words of the file.

use std::fmt::{self, Display};
use std::ops::Range;
use std::str::FromStr;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, Expected, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_spanned::de::{SpannedDeserializer, is_spanned};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What is wrong with a value.
#[derive(Debug)]
pub(super) struct Error {
    what: String,
    /// How it is reached: `.key` and `[element]`, from its `[table]` on.
    key: String,
    /// The way begins at its `[table]`: what is around that is no part of it.
    is_whole: bool,
    /// Where it is, if that is known yet.
    span: Option<Range<usize>>,
}

impl Error {
    fn of_key(key: &str, what: String) -> Self {
        Self {
            key: format!(".{key}"),
            ..Self::custom(what)
        }
    }

    /// The same error, of what is at `step` in something else.
    fn within(mut self, step: &str, span: Range<usize>) -> Self {
        self.span.get_or_insert(span);
        if !self.is_whole {
            self.key.insert_str(0, step);
        }
        self
    }

    pub(super) fn start(&self) -> usize {
        self.span.as_ref().map_or(0, |span| span.start)
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key.trim_start_matches('.'), self.what)
    }
}

impl std::error::Error for Error {}

impl serde::de::Error for Error {
    fn custom<T: Display>(what: T) -> Self {
        Self {
            what: what.to_string(),
            key: String::new(),
            is_whole: false,
            span: None,
        }
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("not {}", allowed(expected)))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("not {}", allowed(expected)))
    }

    fn unknown_variant(_: &str, variants: &'static [&'static str]) -> Self {
        Self::custom(match variants {
            [one] => format!("not {one}"),
            _ => format!("none of {}", variants.join(", ")),
        })
    }

    fn unknown_field(key: &str, keys: &'static [&'static str]) -> Self {
        Self::of_key(key, format!("no such key: there are {}", keys.join(", ")))
    }

    fn missing_field(key: &'static str) -> Self {
        Self::of_key(key, "missing, and has no default".to_owned())
    }
}

/// Reads a number above 0 from the command line, for clap's `value_parser`.
///
/// # Errors
/// When the text is none, or one that does not fit.
pub fn positive<N: FromStr>(text: &str) -> Result<N, &'static str> {
    text.parse()
        .map_err(|_| "not a whole number above 0, or too large")
}

/// Reads a text that may be written as a number, for serde's `deserialize_with`.
///
/// # Errors
/// When it is neither.
pub fn text_or_number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged, expecting = "neither a text in quotes nor a number")]
    enum Either {
        Text(String),
        Number(u32),
    }
    Ok(Some(match Either::deserialize(from)? {
        Either::Text(text) => text,
        Either::Number(number) => number.to_string(),
    }))
}

/// What is allowed, of which serde speaks in Rust's words.
fn allowed(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    let (first, of) = match text.strip_prefix("a nonzero ") {
        Some(of) => (1, of),
        None => (0, text.as_str()),
    };
    let last: u64 = match of {
        "u8" => u8::MAX.into(),
        "u16" => u16::MAX.into(),
        "u32" => u32::MAX.into(),
        "u64" | "usize" => return format!("a whole number from {first} on"),
        "i32" => return format!("a whole number from {} to {}", i32::MIN, i32::MAX),
        "i64" => return "a whole number".to_owned(),
        "f64" => return "a number".to_owned(),
        "a boolean" => return "true or false".to_owned(),
        "path string" => return "a path in quotes".to_owned(),
        "a string" => return "a text in quotes".to_owned(),
        "a sequence" => return "a list".to_owned(),
        _ if of.starts_with("struct ") => return "a table".to_owned(),
        _ => return text,
    };
    format!("a whole number from {first} to {last}")
}

/// A value of a file with this `text`.
#[derive(Clone)]
pub(super) struct Node<'a> {
    value: &'a DeValue<'a>,
    span: Range<usize>,
    text: &'a str,
    /// Keys of a table that are read by themselves.
    apart: &'static [&'static str],
}

impl<'a> Node<'a> {
    pub(super) fn new(
        value: &'a Spanned<DeValue<'a>>,
        text: &'a str,
        apart: &'static [&'static str],
    ) -> Self {
        Self {
            value: value.get_ref(),
            span: value.span(),
            text,
            apart,
        }
    }

    /// Reads a table that stands by itself.
    pub(super) fn read<T: Deserialize<'a>>(self) -> Result<T, Error> {
        let span = self.span.clone();
        T::deserialize(self).map_err(|error| error.within("", span))
    }

    /// What stands at `step` in something else.
    fn read_at<T: DeserializeSeed<'a>>(self, step: &str, seed: T) -> Result<T::Value, Error> {
        let (span, has_head) = (self.span.clone(), self.has_head());
        seed.deserialize(self).map_err(|mut error| {
            error.is_whole |= has_head && !error.key.is_empty();
            error.within(step, span)
        })
    }

    /// Whether it is a table below a `[head]`.
    fn has_head(&self) -> bool {
        matches!(self.value, DeValue::Table(_))
            && self
                .text
                .get(self.span.clone())
                .is_some_and(|text| text.starts_with('['))
    }
}

impl<'a> IntoDeserializer<'a, Error> for Node<'a> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            DeValue::String(text) => visitor.visit_str(text),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => visitor.visit_i64(number),
                    // It is above what 64 bits hold, and so is no value of any type.
                    Err(_) => Err(Error::invalid_type(Unexpected::Other("number"), &visitor)),
                }
            }
            DeValue::Float(number) => match number.as_str().parse() {
                Ok(number) => visitor.visit_f64(number),
                Err(_) => Err(Error::custom("not a number")),
            },
            DeValue::Boolean(is_so) => visitor.visit_bool(*is_so),
            DeValue::Datetime(_) => Err(Error::invalid_type(Unexpected::Other("date"), &visitor)),
            DeValue::Array(list) => visitor.visit_seq(Elements {
                list,
                next: 0,
                text: self.text,
            }),
            DeValue::Table(table) => visitor.visit_map(Keys {
                table: table.iter(),
                value: None,
                text: self.text,
                apart: self.apart,
            }),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.has_head() {
            return Err(Error::custom(
                "one table, and not a list of them, as with [[…]]",
            ));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _keys: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if is_spanned(name) {
            let span = self.span.clone();
            return visitor.visit_map(SpannedDeserializer::new(self, span));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.value {
            DeValue::String(text) => visitor.visit_enum(text.as_ref().into_deserializer()),
            _ => Err(Error::unknown_variant("", variants)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct tuple tuple_struct map identifier
    }
}

/// The elements of a list.
struct Elements<'a> {
    list: &'a [Spanned<DeValue<'a>>],
    next: usize,
    text: &'a str,
}

impl<'a> SeqAccess<'a> for Elements<'a> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'a>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(element) = self.list.get(self.next) else {
            return Ok(None);
        };
        let step = format!("[{}]", self.next);
        self.next += 1;
        Node::new(element, self.text, &[])
            .read_at(&step, seed)
            .map(Some)
    }
}

/// The keys of a table, and their values.
struct Keys<'a> {
    table: <&'a DeTable<'a> as IntoIterator>::IntoIter,
    value: Option<(&'a str, &'a Spanned<DeValue<'a>>)>,
    text: &'a str,
    apart: &'static [&'static str],
}

impl<'a> MapAccess<'a> for Keys<'a> {
    type Error = Error;

    fn next_key_seed<T: DeserializeSeed<'a>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let apart = self.apart;
        let rest = self.table.by_ref();
        let Some((key, value)) = rest.find(|(key, _)| !apart.contains(&key.get_ref().as_ref()))
        else {
            return Ok(None);
        };
        let name = key.get_ref().as_ref();
        self.value = Some((name, value));
        let read: Result<_, Error> = seed.deserialize(name.into_deserializer());
        read.map(Some).map_err(|mut error| {
            for key in apart {
                let and = if error.what.ends_with(' ') { "" } else { ", " };
                error.what.extend([and, key]);
            }
            error.within("", key.span())
        })
    }

    fn next_value_seed<T: DeserializeSeed<'a>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let Some((key, value)) = self.value.take() else {
            return Err(Error::custom("a value without a key"));
        };
        Node::new(value, self.text, &[]).read_at(&format!(".{key}"), seed)
    }
}
