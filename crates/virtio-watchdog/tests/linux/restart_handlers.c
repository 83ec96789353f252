// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * Calls the restart handlers, as architectures do that User-Mode Linux is none
 * of, and comes back if they do.
 */

#include <linux/irqflags.h>
#include <linux/module.h>

static unsigned long address;
module_param(address, ulong, 0);
MODULE_PARM_DESC(address, "Where do_kernel_restart() is, which is not exported");

static int __init restart_handlers(void)
{
	void (*do_kernel_restart)(char *cmd) = (void *)address;
	unsigned long flags;

	local_irq_save(flags);
	do_kernel_restart(NULL);
	local_irq_restore(flags);
	return 0;
}
module_init(restart_handlers);

static void __exit restart_handlers_exit(void)
{
}
module_exit(restart_handlers_exit);

MODULE_DESCRIPTION("Calls the restart handlers");
MODULE_LICENSE("Dual BSD/GPL");
