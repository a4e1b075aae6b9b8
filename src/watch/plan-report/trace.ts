/** @file A pipeline as a trace that chrome://tracing and Perfetto open: a process for each stage, an event for each pass. */
import { RegaugeError } from '../../errors.ts'
import { type Pass, type PassKind, type Pipeline, tracePipeline } from '../../simulate/index.ts'
import { VERSION } from '../../version.ts'
import { type Placed, TRACE_HINT, writePlaced } from '../report/place.ts'
import { tracksOf } from './timeline.ts'

/** More passes make a file that no viewer opens. */
const MOST_PASSES = 2_000_000

const LETTERS: Readonly<Record<PassKind, string>> = { forward: 'F', backward: 'B', weight: 'W' }

/** An event in the format of Chrome's tracing, times in microseconds. */
export type TraceEvent =
  | {
      readonly ph: 'X'
      readonly name: string
      readonly cat: PassKind
      readonly pid: number
      readonly tid: number
      readonly ts: number
      readonly dur: number
      readonly args: { readonly microBatch: number; readonly chunk: number }
    }
  | {
      readonly ph: 'M'
      readonly name: 'process_name' | 'process_sort_index'
      readonly pid: number
      readonly args: { readonly name: string } | { readonly sort_index: number }
    }

/**
 * The passes of a pipeline as events named `F12`, `B12` and `W12` by micro-batch. Times are whole nanoseconds, so that
 * one ends before the next begins. Passes that run side by side are on two tracks.
 */
export function traceEvents(pipeline: Pipeline): TraceEvent[] {
  const stages = pipeline.passes.length
  const passes = stages * (pipeline.passes[0]?.length ?? 1) * pipeline.microBatches * 3
  if (passes > MOST_PASSES) {
    throw new RegaugeError('usage', {
      code: 'TRACE_SIZE',
      message: `a trace of up to ${passes} passes is more than viewers open`,
      hint: `keep stages x chunks x micro-batches below ${Math.floor(MOST_PASSES / 3)}`,
    })
  }
  const { timeline } = tracePipeline(pipeline)
  const byStage = byStageOf(timeline)
  const microseconds = (at: number): number => Math.round(at * 1e9) / 1e3
  return Array.from({ length: stages }, (_, stage): TraceEvent[] => [
    { ph: 'M', name: 'process_name', pid: stage, args: { name: `stage ${stage}` } },
    { ph: 'M', name: 'process_sort_index', pid: stage, args: { sort_index: stage } },
    ...tracksOf(byStage.get(stage) ?? []).flatMap((track, tid) =>
      track.map(({ pass, microBatch, chunk, start, end }): TraceEvent => {
        const ts = microseconds(start)
        return {
          ph: 'X',
          name: `${LETTERS[pass]}${microBatch}`,
          cat: pass,
          pid: stage,
          tid,
          ts,
          dur: Math.round((microseconds(end) - ts) * 1e3) / 1e3,
          args: { microBatch, chunk },
        }
      }),
    ),
  ]).flat()
}

function byStageOf(timeline: readonly Pass[]): ReadonlyMap<number, readonly Pass[]> {
  const stages = new Map<number, Pass[]>()
  for (const pass of timeline) {
    const stage = stages.get(pass.stage)
    if (stage === undefined) stages.set(pass.stage, [pass])
    else stage.push(pass)
  }
  return stages
}

/** The trace for its place. Throws RegaugeError where it would be too large. */
export function traceFile(pipeline: Pipeline, path: string): Placed {
  const events = traceEvents(pipeline).map((event) => JSON.stringify(event))
  const head = `{"otherData":{"generator":"regauge ${VERSION}"},"displayTimeUnit":"ms","traceEvents":[`
  return { path, text: `${head}\n${events.join(',\n')}\n]}\n`, hint: TRACE_HINT }
}

/** Writes the trace, whole, over nothing but what regauge wrote. Throws RegaugeError. */
export function writeTrace(pipeline: Pipeline, path: string): void {
  writePlaced([traceFile(pipeline, path)])
}
