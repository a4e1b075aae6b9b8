/** @file What a run's event log says, put together: one point a step, whatever was killed and resumed. */
import type {
  BadLine,
  CheckpointEvent,
  EvalEvent,
  LoggedEvent,
  MoveEvent,
  RunState,
  SampleEvent,
  StartEvent,
  StepEvent,
  SummaryEvent,
} from './events.ts'
import { readEvents } from './events.ts'

/** A run as its events tell it. Steps that a resumed process did again are there once, as done last. */
export interface RunHistory {
  readonly state: RunState
  /** Reason of the last state, where the run gave one. */
  readonly message?: string
  readonly starts: readonly (StartEvent & { readonly time: string })[]
  readonly steps: readonly StepEvent[]
  readonly evals: readonly EvalEvent[]
  readonly samples: readonly SampleEvent[]
  readonly checkpoints: readonly CheckpointEvent[]
  /** Each time the run went on elsewhere. */
  readonly moves: readonly MoveEvent[]
  readonly notes: readonly { readonly time: string; readonly message: string }[]
  readonly summary?: SummaryEvent
  /** Time of the first and the last event, ISO 8601. */
  readonly begun?: string
  readonly updated?: string
  readonly badLines: readonly BadLine[]
}

/** Reads a log and puts it together. */
export async function readHistory(path: string): Promise<RunHistory> {
  const badLines: BadLine[] = []
  const events: LoggedEvent[] = []
  for await (const event of readEvents(path, (bad) => badLines.push(bad))) events.push(event)
  return { ...historyOf(events), badLines }
}

/** Puts events in the order of the log together. */
export function historyOf(events: Iterable<LoggedEvent>): RunHistory {
  let state: RunState = 'queued'
  let message: string | undefined
  let summary: SummaryEvent | undefined
  let begun: string | undefined
  let updated: string | undefined
  const starts: (StartEvent & { time: string })[] = []
  const moves: MoveEvent[] = []
  const notes: { time: string; message: string }[] = []
  let steps: StepEvent[] = []
  let evals: EvalEvent[] = []
  let samples: SampleEvent[] = []
  let checkpoints: CheckpointEvent[] = []

  for (const event of events) {
    begun ??= event.time
    updated = event.time
    switch (event.type) {
      case 'start': {
        // What a killed process did after the checkpoint is done again: its events are void.
        const kept = <E extends { step: number }>(list: E[]): E[] =>
          list.filter((e) => e.step <= event.startStep)
        steps = kept(steps)
        evals = kept(evals)
        samples = kept(samples)
        checkpoints = kept(checkpoints)
        summary = undefined
        starts.push(event)
        break
      }
      case 'state':
        state = event.state
        message = event.message
        break
      case 'step':
        steps.push(event)
        break
      case 'eval':
        evals.push(event)
        break
      case 'sample':
        samples.push(event)
        break
      case 'checkpoint':
        checkpoints.push(event)
        break
      case 'move':
        moves.push(event)
        break
      case 'note':
        notes.push({ time: event.time, message: event.message })
        break
      case 'summary':
        summary = event
        break
    }
  }
  return {
    state,
    ...(message !== undefined && { message }),
    starts,
    steps,
    evals,
    samples,
    checkpoints,
    notes,
    moves,
    ...(summary !== undefined && { summary }),
    ...(begun !== undefined && { begun }),
    ...(updated !== undefined && { updated }),
    badLines: [],
  }
}
