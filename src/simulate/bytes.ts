/** @file Bytes of the values that training keeps. */

/** Of a value in bf16 or fp16. */
export const HALF = 2
/** Of a value in fp32. */
export const SINGLE = 4
/** Of a decision of dropout. */
export const MASK = 1
