// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * Virtio watchdog: the host acts when this guest no longer pings.
 *
 * SPEC.md describes the device; numbers in comments are its statements. A
 * device without features knows pings only: it cannot be stopped, and nobody
 * can set its timeout. The watchdog core pings it for whoever wants a longer
 * timeout than the device has, or has closed it.
 */

#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/version.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/watchdog.h>

#ifndef VIRTIO_ID_WATCHDOG
#define VIRTIO_ID_WATCHDOG		35
#endif

#define VIRTIO_WATCHDOG_F_CONTROL	0
#define VIRTIO_WATCHDOG_F_PRETIMEOUT	1
#define VIRTIO_WATCHDOG_F_RESTART	2

struct virtio_watchdog_config {
	__le32 min_timeout;
	__le32 max_timeout;
	__le32 default_timeout;
	__le32 default_pretimeout;
	__le32 max_suspend;
	__le16 num_channels;
	__le16 flags;
#define VIRTIO_WATCHDOG_FLAG_LOCKED	BIT(0)
#define VIRTIO_WATCHDOG_FLAG_BOOT	BIT(2)
	__le32 boot_status;
#define VIRTIO_WATCHDOG_BOOT_STATUS_EXPIRED	BIT(0)
#define VIRTIO_WATCHDOG_BOOT_STATUS_BOOT	BIT(1)
#define VIRTIO_WATCHDOG_BOOT_STATUS_PANIC	BIT(3)
	__le32 reset_count;
	__le32 time_left;
};

struct virtio_watchdog_request {
	__le16 type;
#define VIRTIO_WATCHDOG_START		2
#define VIRTIO_WATCHDOG_STOP		3
#define VIRTIO_WATCHDOG_STATUS		5
#define VIRTIO_WATCHDOG_SUSPEND		6
#define VIRTIO_WATCHDOG_RESUME		7
#define VIRTIO_WATCHDOG_RESTART		8
#define VIRTIO_WATCHDOG_BOOT_DONE	9
	__le16 channel;
	__le32 timeout;
	__le32 pretimeout;
	__le32 flags;
#define VIRTIO_WATCHDOG_START_LOCK	BIT(0)
};

struct virtio_watchdog_response {
	u8 status;
#define VIRTIO_WATCHDOG_S_OK		1
#define VIRTIO_WATCHDOG_S_INVALID	2
#define VIRTIO_WATCHDOG_S_UNSUPPORTED	3
#define VIRTIO_WATCHDOG_S_RANGE		4
#define VIRTIO_WATCHDOG_S_LOCKED	5
#define VIRTIO_WATCHDOG_S_EXPIRED	6
#define VIRTIO_WATCHDOG_S_BUSY		7
	u8 state;
	__le16 flags;
	__le32 timeout;
	__le32 pretimeout;
	__le32 time_left;
#define VIRTIO_WATCHDOG_NO_TIME		0xffffffff
};

struct virtio_watchdog_event {
	__le16 type;
#define VIRTIO_WATCHDOG_EVENT_PRETIMEOUT	1
#define VIRTIO_WATCHDOG_EVENT_EXPIRED		2
	__le16 channel;
	__le32 time_left;
};

/* The device answers at once, or something is very wrong. */
#define VIRTIO_WDT_PATIENCE_MS	2000

static unsigned int timeout;
module_param(timeout, uint, 0);
MODULE_PARM_DESC(timeout,
		 "Timeout in seconds until a program sets another (default: the device's)");

static unsigned int limit = 15;
module_param(limit, uint, 0);
MODULE_PARM_DESC(limit,
		 "Seconds within which a device that does not tell wants its pings (default 15)");

static bool nowayout = WATCHDOG_NOWAYOUT;
module_param(nowayout, bool, 0);
MODULE_PARM_DESC(nowayout, "Watchdog cannot be stopped once started (default="
		 __MODULE_STRING(WATCHDOG_NOWAYOUT) ")");

static bool carrier;
module_param(carrier, bool, 0);
MODULE_PARM_DESC(carrier,
		 "Entropy devices without a driver are watchdogs (default=N)");

/*
 * What the device reads and writes. It only goes when the device has been
 * reset (DRV-8): whoever waits for an answer does not own it.
 */
struct virtio_wdt_dma {
	struct virtio_watchdog_request request;
	struct virtio_watchdog_response response ____cacheline_aligned;
	struct virtio_watchdog_event events[4] ____cacheline_aligned;
};

struct virtio_wdt {
	struct virtio_device *vdev;
	struct watchdog_device wdd;
	struct watchdog_info info;
	/* Held by whoever asks, until the answer has been read. */
	struct mutex asking;
	/* NULL while there are no queues. */
	struct virtqueue *requestq;
	struct virtqueue *eventq;
	/* Guards the queues, and the next two. */
	spinlock_t lock;
	bool is_asked;
	unsigned int answered;
	struct completion answer;
	struct virtio_wdt_dma *dma;
};

/* Takes the buffers of a request back that has been answered. */
static void virtio_wdt_collect(struct virtio_wdt *vw)
{
	unsigned int len;

	while (vw->requestq && virtqueue_get_buf(vw->requestq, &len)) {
		vw->answered = len;
		vw->is_asked = false;
		complete(&vw->answer);
	}
}

static void virtio_wdt_answered(struct virtqueue *vq)
{
	struct virtio_wdt *vw = vq->vdev->priv;
	unsigned long flags;

	spin_lock_irqsave(&vw->lock, flags);
	virtio_wdt_collect(vw);
	spin_unlock_irqrestore(&vw->lock, flags);
}

static int virtio_wdt_submit(struct virtio_wdt *vw, u16 type)
{
	struct virtio_watchdog_request *request = &vw->dma->request;
	struct virtio_watchdog_response *response = &vw->dma->response;
	struct scatterlist out, in, *sgs[2];
	unsigned int outs = 0;

	/* The device may have come back to life since it was last asked. */
	virtio_wdt_collect(vw);
	if (vw->is_asked || !vw->requestq)
		return -EIO;

	memset(response, 0, sizeof(*response));
	if (virtio_has_feature(vw->vdev, VIRTIO_WATCHDOG_F_CONTROL)) {
		memset(request, 0, sizeof(*request));
		request->type = cpu_to_le16(type);
		if (type == VIRTIO_WATCHDOG_START) {
			struct watchdog_device *wdd = &vw->wdd;
			u32 lock = test_bit(WDOG_NO_WAY_OUT, &wdd->status) ?
				   VIRTIO_WATCHDOG_START_LOCK : 0;

			request->timeout =
				cpu_to_le32(wdd->timeout * MSEC_PER_SEC);
			request->flags = cpu_to_le32(lock);
			/* Without us the core has a pretimeout of its own. */
			if (vw->eventq)
				request->pretimeout =
					cpu_to_le32(wdd->pretimeout * MSEC_PER_SEC);
		}
		sg_init_one(&out, request, sizeof(*request));
		sgs[outs++] = &out;
	}
	sg_init_one(&in, response, sizeof(*response));
	sgs[outs] = &in;

	reinit_completion(&vw->answer);
	if (virtqueue_add_sgs(vw->requestq, sgs, outs, 1, vw, GFP_ATOMIC))
		return -EIO;
	vw->is_asked = true;
	return virtqueue_kick(vw->requestq) ? 0 : -EIO;
}

static int virtio_wdt_status(struct virtio_wdt *vw)
{
	/* A carrier answers with entropy. */
	if (vw->vdev->id.device != VIRTIO_ID_WATCHDOG && vw->answered)
		return 0;

	switch (vw->dma->response.status) {
	case VIRTIO_WATCHDOG_S_OK:
		return 0;
	case VIRTIO_WATCHDOG_S_INVALID:
		return -EINVAL;
	case VIRTIO_WATCHDOG_S_UNSUPPORTED:
		return -EOPNOTSUPP;
	case VIRTIO_WATCHDOG_S_RANGE:
		return -ERANGE;
	case VIRTIO_WATCHDOG_S_LOCKED:
	case VIRTIO_WATCHDOG_S_BUSY:
		return -EBUSY;
	default:
		return -EIO;
	}
}

/*
 * Asks the device, and waits for the answer, of which *response is a copy
 * unless there is an error. There is one request at a time: the watchdog core
 * holds a mutex around the operations, but not when the guest reboots or the
 * device goes, and it knows nothing of sleep. The wait cannot be interrupted,
 * but it ends.
 */
static int virtio_wdt_ask(struct virtio_wdt *vw, u16 type,
			  struct virtio_watchdog_response *response)
{
	int err;

	mutex_lock(&vw->asking);
	spin_lock_irq(&vw->lock);
	err = virtio_wdt_submit(vw, type);
	spin_unlock_irq(&vw->lock);
	if (err)
		goto unlock;

	wait_for_completion_timeout(&vw->answer,
				    msecs_to_jiffies(VIRTIO_WDT_PATIENCE_MS));

	spin_lock_irq(&vw->lock);
	/* An interrupt may have been lost. */
	virtio_wdt_collect(vw);
	err = vw->is_asked ? -EIO : virtio_wdt_status(vw);
	if (!err)
		*response = vw->dma->response;
	spin_unlock_irq(&vw->lock);
	if (err)
		dev_err_ratelimited(&vw->vdev->dev, "request %u: error %d\n",
				    type, err);
unlock:
	mutex_unlock(&vw->asking);
	return err;
}

static int virtio_wdt_request(struct virtio_wdt *vw, u16 type)
{
	struct virtio_watchdog_response response;

	return virtio_wdt_ask(vw, type, &response);
}

/*
 * Also a ping: a START says nothing new to a device that is running, and heals
 * one that has forgotten.
 */
static int virtio_wdt_start(struct watchdog_device *wdd)
{
	return virtio_wdt_request(watchdog_get_drvdata(wdd),
				  VIRTIO_WATCHDOG_START);
}

static int virtio_wdt_stop(struct watchdog_device *wdd)
{
	int err = virtio_wdt_request(watchdog_get_drvdata(wdd),
				     VIRTIO_WATCHDOG_STOP);

	/* The core took it for stopped before it asked. */
	if (err)
		set_bit(WDOG_HW_RUNNING, &wdd->status);
	return err;
}

static int virtio_wdt_set_pretimeout(struct watchdog_device *wdd,
				     unsigned int pretimeout)
{
	unsigned int old = wdd->pretimeout;
	int err = 0;

	wdd->pretimeout = pretimeout;
	if (watchdog_hw_running(wdd))
		err = virtio_wdt_start(wdd);
	if (err)
		wdd->pretimeout = old;
	return err;
}

static unsigned int virtio_wdt_get_timeleft(struct watchdog_device *wdd)
{
	struct virtio_watchdog_response response;
	u32 left;

	if (virtio_wdt_ask(watchdog_get_drvdata(wdd), VIRTIO_WATCHDOG_STATUS,
			   &response))
		return 0;
	left = le32_to_cpu(response.time_left);
	return left == VIRTIO_WATCHDOG_NO_TIME ? 0 : left / MSEC_PER_SEC;
}

/*
 * Interrupts may be off, and other processors stopped with our lock in their
 * hands: so there is no waiting, but looking again for a time.
 */
static int virtio_wdt_restart(struct watchdog_device *wdd, unsigned long action,
			      void *data)
{
	struct virtio_wdt *vw = watchdog_get_drvdata(wdd);
	bool is_sent = false, is_refused = false;
	unsigned long flags;
	unsigned int i;

	for (i = 0; i < VIRTIO_WDT_PATIENCE_MS; i++) {
		if (spin_trylock_irqsave(&vw->lock, flags)) {
			if (is_sent)
				virtio_wdt_collect(vw);
			else
				is_sent = !virtio_wdt_submit(vw, VIRTIO_WATCHDOG_RESTART);
			is_refused = is_sent && !vw->is_asked &&
				     virtio_wdt_status(vw);
			spin_unlock_irqrestore(&vw->lock, flags);
		}
		/* An orderly reboot has reset the device before. */
		if (is_refused || !vw->requestq ||
		    virtqueue_is_broken(vw->requestq))
			break;
		mdelay(1);
	}
	/* Who comes here was not reset: another handler's turn. */
	return -EIO;
}

static const struct watchdog_ops virtio_wdt_plain_ops = {
	.owner = THIS_MODULE,
	.start = virtio_wdt_start,
};

static const struct watchdog_ops virtio_wdt_control_ops = {
	.owner = THIS_MODULE,
	.start = virtio_wdt_start,
	.stop = virtio_wdt_stop,
	.set_pretimeout = virtio_wdt_set_pretimeout,
	.get_timeleft = virtio_wdt_get_timeleft,
};

static const struct watchdog_ops virtio_wdt_restart_ops = {
	.owner = THIS_MODULE,
	.start = virtio_wdt_start,
	.stop = virtio_wdt_stop,
	.set_pretimeout = virtio_wdt_set_pretimeout,
	.get_timeleft = virtio_wdt_get_timeleft,
	.restart = virtio_wdt_restart,
};

static void virtio_wdt_lend(struct virtio_wdt *vw,
			    struct virtio_watchdog_event *event)
{
	struct scatterlist sg;

	sg_init_one(&sg, event, sizeof(*event));
	virtqueue_add_inbuf(vw->eventq, &sg, 1, event, GFP_ATOMIC);
}

/* The next event, whose buffer is lent again. */
static bool virtio_wdt_next_event(struct virtio_wdt *vw,
				  struct virtio_watchdog_event *next)
{
	struct virtio_watchdog_event *event = NULL;
	unsigned long flags;
	unsigned int len;

	spin_lock_irqsave(&vw->lock, flags);
	/* The interrupt may have been on its way when the queues went. */
	if (vw->eventq)
		event = virtqueue_get_buf(vw->eventq, &len);
	if (event) {
		/* A cut event is none (DRV-11). */
		if (len >= sizeof(*event))
			*next = *event;
		virtio_wdt_lend(vw, event);
		virtqueue_kick(vw->eventq);
	}
	spin_unlock_irqrestore(&vw->lock, flags);
	return event;
}

static void virtio_wdt_event(struct virtqueue *vq)
{
	struct virtio_wdt *vw = vq->vdev->priv;
	struct virtio_watchdog_event event = { 0 };

	for (; virtio_wdt_next_event(vw, &event); event.type = 0) {
		switch (le16_to_cpu(event.type)) {
		case VIRTIO_WATCHDOG_EVENT_PRETIMEOUT:
			/* We use the channel of the guest as a whole. */
			if (!event.channel)
				watchdog_notify_pretimeout(&vw->wdd);
			break;
		case VIRTIO_WATCHDOG_EVENT_EXPIRED:
			dev_crit(&vw->vdev->dev, "expired\n");
			break;
		}
	}
}

static int virtio_wdt_find_vqs(struct virtio_wdt *vw)
{
	unsigned int n = virtio_has_feature(vw->vdev,
					    VIRTIO_WATCHDOG_F_PRETIMEOUT) ? 2 : 1;
	struct virtqueue *vqs[2];
	unsigned int i;
	int err;

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
	struct virtqueue_info info[] = {
		{ "request", virtio_wdt_answered },
		{ "event", virtio_wdt_event },
	};

	err = virtio_find_vqs(vw->vdev, n, vqs, info, NULL);
#else
	vq_callback_t *callbacks[] = { virtio_wdt_answered, virtio_wdt_event };
	static const char * const names[] = { "request", "event" };

	err = virtio_find_vqs(vw->vdev, n, vqs, callbacks, names, NULL);
#endif
	if (err)
		return err;

	spin_lock_irq(&vw->lock);
	vw->requestq = vqs[0];
	vw->is_asked = false;
	spin_unlock_irq(&vw->lock);
	virtio_device_ready(vw->vdev);
	if (n == 1)
		return 0;

	spin_lock_irq(&vw->lock);
	vw->eventq = vqs[1];
	for (i = 0; i < ARRAY_SIZE(vw->dma->events); i++)
		virtio_wdt_lend(vw, &vw->dma->events[i]);
	virtqueue_kick(vw->eventq);
	spin_unlock_irq(&vw->lock);
	return 0;
}

/* From here on the device touches no memory of ours. */
static void virtio_wdt_del_vqs(struct virtio_wdt *vw)
{
	virtio_reset_device(vw->vdev);
	spin_lock_irq(&vw->lock);
	vw->requestq = NULL;
	vw->eventq = NULL;
	spin_unlock_irq(&vw->lock);
	vw->vdev->config->del_vqs(vw->vdev);
}

/* All that a device without features is known to do. */
static int virtio_wdt_init_plain(struct virtio_wdt *vw)
{
	struct watchdog_device *wdd = &vw->wdd;

	if (!limit || limit > UINT_MAX / MSEC_PER_SEC) {
		dev_err(&vw->vdev->dev, "limit of %u s\n", limit);
		return -EINVAL;
	}
	wdd->ops = &virtio_wdt_plain_ops;
	wdd->min_timeout = 1;
	wdd->max_hw_heartbeat_ms = limit * MSEC_PER_SEC;
	wdd->timeout = limit;
	return 0;
}

static int virtio_wdt_init_control(struct virtio_wdt *vw)
{
	struct watchdog_device *wdd = &vw->wdd;
	struct virtio_device *vdev = vw->vdev;
	u32 min, max, timeout, pretimeout, boot_status;
	u16 flags;

	virtio_cread_le(vdev, struct virtio_watchdog_config, min_timeout, &min);
	virtio_cread_le(vdev, struct virtio_watchdog_config, max_timeout, &max);
	virtio_cread_le(vdev, struct virtio_watchdog_config, default_timeout,
			&timeout);
	virtio_cread_le(vdev, struct virtio_watchdog_config, default_pretimeout,
			&pretimeout);
	virtio_cread_le(vdev, struct virtio_watchdog_config, flags, &flags);
	virtio_cread_le(vdev, struct virtio_watchdog_config, boot_status,
			&boot_status);

	wdd->ops = virtio_has_feature(vdev, VIRTIO_WATCHDOG_F_RESTART) ?
		   &virtio_wdt_restart_ops : &virtio_wdt_control_ops;
	wdd->min_timeout = max(DIV_ROUND_UP(min, MSEC_PER_SEC), 1);
	wdd->max_timeout = max / MSEC_PER_SEC;
	if (wdd->min_timeout > wdd->max_timeout) {
		dev_err(&vdev->dev, "timeouts of %u to %u ms\n", min, max);
		return -EINVAL;
	}
	wdd->timeout = clamp_t(u32, timeout / MSEC_PER_SEC, wdd->min_timeout,
			       wdd->max_timeout);
	if (virtio_has_feature(vdev, VIRTIO_WATCHDOG_F_PRETIMEOUT)) {
		vw->info.options |= WDIOF_PRETIMEOUT;
		wdd->pretimeout = pretimeout / MSEC_PER_SEC;
	}

	vw->info.options |= WDIOF_CARDRESET;
	if (boot_status & (VIRTIO_WATCHDOG_BOOT_STATUS_EXPIRED |
			   VIRTIO_WATCHDOG_BOOT_STATUS_BOOT |
			   VIRTIO_WATCHDOG_BOOT_STATUS_PANIC))
		wdd->bootstatus = WDIOF_CARDRESET;
	if (flags & VIRTIO_WATCHDOG_FLAG_LOCKED)
		watchdog_set_nowayout(wdd, true);
	/* The core pings until a program does, as it was told to (DRV-9). */
	if (flags & VIRTIO_WATCHDOG_FLAG_BOOT)
		set_bit(WDOG_HW_RUNNING, &wdd->status);
	return 0;
}

static int virtio_wdt_init(struct virtio_wdt *vw)
{
	struct watchdog_device *wdd = &vw->wdd;
	int err;

	strscpy(vw->info.identity, "virtio-watchdog", sizeof(vw->info.identity));
	vw->info.options = WDIOF_KEEPALIVEPING | WDIOF_SETTIMEOUT |
			   WDIOF_MAGICCLOSE;
	wdd->parent = &vw->vdev->dev;
	wdd->info = &vw->info;
	if (virtio_has_feature(vw->vdev, VIRTIO_WATCHDOG_F_CONTROL))
		err = virtio_wdt_init_control(vw);
	else
		err = virtio_wdt_init_plain(vw);
	if (err)
		return err;

	watchdog_set_drvdata(wdd, vw);
	watchdog_set_nowayout(wdd, nowayout);
	watchdog_stop_on_unregister(wdd);
	watchdog_stop_ping_on_suspend(wdd);
	/*
	 * The default. On arm64, PSCI's handler (129) comes before ours, and we
	 * are asked only where there is no PSCI, or it fails.
	 */
	watchdog_set_restart_priority(wdd, 128);
	/* A timeout that is out of range is told, and the default is taken. */
	watchdog_init_timeout(wdd, timeout, &vw->vdev->dev);
	if (wdd->pretimeout >= wdd->timeout)
		wdd->pretimeout = 0;
	return 0;
}

static void virtio_wdt_free(struct virtio_wdt *vw)
{
	kfree(vw->dma);
	kfree(vw);
}

static int virtio_wdt_probe(struct virtio_device *vdev)
{
	struct virtio_wdt *vw;
	int err;

	vw = kzalloc(sizeof(*vw), GFP_KERNEL);
	if (!vw)
		return -ENOMEM;
	vw->vdev = vdev;
	vdev->priv = vw;
	mutex_init(&vw->asking);
	spin_lock_init(&vw->lock);
	init_completion(&vw->answer);
	vw->dma = kzalloc(sizeof(*vw->dma), GFP_KERNEL);
	err = vw->dma ? virtio_wdt_init(vw) : -ENOMEM;
	if (err)
		goto free;
	err = virtio_wdt_find_vqs(vw);
	if (err)
		goto free;
	err = watchdog_register_device(&vw->wdd);
	if (err)
		goto del_vqs;
	return 0;

del_vqs:
	virtio_wdt_del_vqs(vw);
free:
	virtio_wdt_free(vw);
	return err;
}

static void virtio_wdt_remove(struct virtio_device *vdev)
{
	struct virtio_wdt *vw = vdev->priv;

	watchdog_unregister_device(&vw->wdd);
	virtio_wdt_del_vqs(vw);
	virtio_wdt_free(vw);
}

static int virtio_wdt_validate(struct virtio_device *vdev)
{
	/* On a carrier these bits mean something else. */
	if (vdev->id.device != VIRTIO_ID_WATCHDOG)
		__virtio_clear_bit(vdev, VIRTIO_WATCHDOG_F_CONTROL);
	if (!virtio_has_feature(vdev, VIRTIO_WATCHDOG_F_CONTROL)) {
		__virtio_clear_bit(vdev, VIRTIO_WATCHDOG_F_PRETIMEOUT);
		__virtio_clear_bit(vdev, VIRTIO_WATCHDOG_F_RESTART);
	}
	return 0;
}

#ifdef CONFIG_PM_SLEEP
/*
 * On our own device, and not in freeze() and restore(): not all transports call
 * those, and the rings have to be there.
 */
static int virtio_wdt_suspend(struct device *dev)
{
	struct virtio_wdt *vw = dev_to_virtio(dev)->priv;

	/* A guest whose watchdog is dead may sleep nevertheless. */
	if (virtio_has_feature(vw->vdev, VIRTIO_WATCHDOG_F_CONTROL))
		virtio_wdt_request(vw, VIRTIO_WATCHDOG_SUSPEND);
	return 0;
}

/* The core starts a watchdog again that ran, after all devices are awake. */
static int virtio_wdt_resume(struct device *dev)
{
	struct virtio_wdt *vw = dev_to_virtio(dev)->priv;
	struct virtio_watchdog_response response;
	u16 flags;

	if (!virtio_has_feature(vw->vdev, VIRTIO_WATCHDOG_F_CONTROL) ||
	    virtio_wdt_ask(vw, VIRTIO_WATCHDOG_RESUME, &response))
		return 0;
	/* For a device that was reset meanwhile, the guest boots. */
	flags = le16_to_cpu(response.flags);
	if ((flags & VIRTIO_WATCHDOG_FLAG_BOOT) && !watchdog_hw_running(&vw->wdd))
		virtio_wdt_request(vw, VIRTIO_WATCHDOG_BOOT_DONE);
	return 0;
}

static int virtio_wdt_freeze(struct virtio_device *vdev)
{
	virtio_wdt_del_vqs(vdev->priv);
	return 0;
}

static int virtio_wdt_restore(struct virtio_device *vdev)
{
	return virtio_wdt_find_vqs(vdev->priv);
}

static SIMPLE_DEV_PM_OPS(virtio_wdt_pm_ops, virtio_wdt_suspend, virtio_wdt_resume);
#endif

static const unsigned int virtio_wdt_features[] = {
	VIRTIO_WATCHDOG_F_CONTROL,
	VIRTIO_WATCHDOG_F_PRETIMEOUT,
	VIRTIO_WATCHDOG_F_RESTART,
};

static const struct virtio_device_id virtio_wdt_ids[] = {
	{ VIRTIO_ID_WATCHDOG, VIRTIO_DEV_ANY_ID },
	{ 0 },
};
MODULE_DEVICE_TABLE(virtio, virtio_wdt_ids);

/* Not in the module's table: nobody's entropy is taken without being told to. */
static const struct virtio_device_id virtio_wdt_carrier_ids[] = {
	{ VIRTIO_ID_WATCHDOG, VIRTIO_DEV_ANY_ID },
	{ VIRTIO_ID_RNG, VIRTIO_DEV_ANY_ID },
	{ 0 },
};

static struct virtio_driver virtio_wdt_driver = {
	.driver.name = KBUILD_MODNAME,
	.driver.owner = THIS_MODULE,
	.id_table = virtio_wdt_ids,
	.feature_table = virtio_wdt_features,
	.feature_table_size = ARRAY_SIZE(virtio_wdt_features),
	.validate = virtio_wdt_validate,
	.probe = virtio_wdt_probe,
	.remove = virtio_wdt_remove,
#ifdef CONFIG_PM_SLEEP
	.driver.pm = &virtio_wdt_pm_ops,
	.freeze = virtio_wdt_freeze,
	.restore = virtio_wdt_restore,
#endif
};

static int __init virtio_wdt_load(void)
{
	if (carrier)
		virtio_wdt_driver.id_table = virtio_wdt_carrier_ids;
	return register_virtio_driver(&virtio_wdt_driver);
}
module_init(virtio_wdt_load);

static void __exit virtio_wdt_unload(void)
{
	unregister_virtio_driver(&virtio_wdt_driver);
}
module_exit(virtio_wdt_unload);

MODULE_DESCRIPTION("Virtio watchdog driver");
MODULE_LICENSE("Dual BSD/GPL");
