/** @file States of a run in their colours. */
import type { RunState } from '../../train/index.ts'
import type { Colors } from './terminal.ts'

export function stateText(state: RunState, colors: Colors): string {
  if (state === 'finished') return colors.green(state)
  if (state === 'failed') return colors.red(state)
  return state === 'stopped' || state === 'queued' ? colors.yellow(state) : colors.cyan(state)
}
