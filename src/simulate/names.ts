/** @file What number formats are called by a user. */

export const PRECISIONS = ['bf16', 'fp16', 'fp8'] as const
/** Number format of the products of weights and activations; fp8 keeps the rest in bf16. */
export type Precision = (typeof PRECISIONS)[number]
