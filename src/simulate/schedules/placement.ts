/** @file Where the chunks of a pipeline lie, see `Placement`. */
import type { Placement } from './types.ts'

/** Copies of the layers that a pipeline has. */
export function copiesOf(placement: Placement): 1 | 2 {
  return placement === 'both-ends' ? 2 : 1
}

/** Whether the chunks of a stage lie on the way there and on the way back, so that the first stage has both ends. */
export function turnsBack(placement: Placement): boolean {
  return placement !== 'straight'
}

/** The place of a chunk; those of a second copy follow all of the first. */
export function placeOf(placement: Placement, stages: number, stage: number, chunk: number): number {
  return chunk * stages + (turnsBack(placement) && chunk === 1 ? stages - 1 - stage : stage)
}

/** The stage that holds a place: every stage has its first chunk before any has its second. */
export function stageOf(placement: Placement, stages: number, place: number): number {
  return turnsBack(placement) && place >= stages ? 2 * stages - 1 - place : place % stages
}
