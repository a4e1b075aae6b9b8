/** @file Words for chips: whether one can be had, what drives it, and which ones examples name. */

/** Whether a chip can be had: sold, sold under limits, no longer sold, or not yet. */
export const STATUSES = ['shipping', 'restricted', 'stopped', 'announced', 'roadmap', 'reported'] as const
export type Status = (typeof STATUSES)[number]

/** Runtimes of regauge that a chip may run on. */
export const RUNTIMES = ['cuda', 'cann', 'webgpu', 'cpu'] as const
export type RuntimeName = (typeof RUNTIMES)[number]

/** Chips and a family for examples in help. */
export const EXAMPLE_CHIPS = ['910b2', 'a100', 'h20'] as const
