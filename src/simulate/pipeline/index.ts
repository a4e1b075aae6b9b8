/** @file Pipelines: any schedule, stages and links that differ, pass by pass or by formula. */
export { boundSeconds, closedFormSeconds, pipelineSeconds } from './bounds.ts'
export { simulatePipeline, tracePipeline } from './simulate.ts'
export type * from './types.ts'
