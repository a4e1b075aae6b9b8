/** @file Step time and memory of a layout of a model on chips: what a run would take there. */
export * from './types.ts'
