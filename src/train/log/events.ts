/** @file The event log of a run: the types of its lines, the writer that survives a kill, the reader. */
import { closeSync, createReadStream, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs'
import { type Issue, RegaugeError } from '../../errors.ts'

/** Where a run is in its life. The last three are final for the process that wrote them. */
export const RUN_STATES = [
  'queued',
  'compiling',
  'training',
  'evaluating',
  'saving',
  'finished',
  'stopped',
  'failed',
] as const
export type RunState = (typeof RUN_STATES)[number]

/** The machine that a process of the run ran on, in words and bytes. */
export interface MachineInfo {
  readonly host: string
  readonly platform: string
  readonly processor: string
  readonly cores: number
  readonly memoryBytes: number
  readonly node: string
  /** For instance `ONNX Runtime 1.30.0, cpu, 2 threads`. */
  readonly runtime: string
  /** Measured float32 matrix product limit, floating-point operations per second. */
  readonly matmulFlopsPerSecond?: number
}

/** A process begins (or goes on with) the run. Events of steps after `startStep` written before are void. */
export interface StartEvent {
  readonly type: 'start'
  /** 0 for a new run, else the step of the checkpoint that it continues from. */
  readonly startStep: number
  readonly steps: number
  readonly parameters: number
  /** Tokens of one optimizer step. */
  readonly tokensPerStep: number
  readonly version: string
  readonly pid: number
  readonly machine: MachineInfo
}

export interface StateEvent {
  readonly type: 'state'
  readonly state: RunState
  /** Why, where there is a reason to tell. */
  readonly message?: string
}

/** One optimizer step. JSON has no NaN: a loss or norm that is not finite is written as null, read as NaN. */
export interface StepEvent {
  readonly type: 'step'
  /** 1-based: steps done. */
  readonly step: number
  readonly steps: number
  /** Mean cross-entropy of the step's tokens, nats per token. */
  readonly loss: number
  readonly learningRate: number
  /** Global gradient norm before clipping. */
  readonly gradNorm: number
  /** CRC-32 of the batch, 8 hexadecimal digits: two runs that agree in it saw the same ids and labels. */
  readonly data?: string
  readonly tokensPerSecond: number
  /** Share of the measured matrix product limit, 0 to 1. */
  readonly matmulShare?: number
  readonly etaSeconds?: number
  /** Resident memory of the process. */
  readonly memoryBytes?: number
  readonly stepSeconds: number
}

export interface EvalEvent {
  readonly type: 'eval'
  readonly step: number
  /** Mean cross-entropy on held-out text, nats per token. */
  readonly loss: number
  readonly bitsPerByte?: number
}

export interface SampleEvent {
  readonly type: 'sample'
  readonly step: number
  readonly prompt: string
  /** The continuation, without the prompt. */
  readonly text: string
}

export interface CheckpointEvent {
  readonly type: 'checkpoint'
  readonly step: number
  readonly path: string
  readonly bytes?: number
  readonly seconds?: number
}

/** The run goes on elsewhere than where its last checkpoint was written. */
export interface MoveEvent {
  readonly type: 'move'
  /** Steps done when it moved. */
  readonly step: number
  /** As the machine's `runtime`: library, device. */
  readonly from: string
  readonly to: string
}

export interface NoteEvent {
  readonly type: 'note'
  readonly message: string
}

/** The figures of a run that ended well. */
export interface SummaryEvent {
  readonly type: 'summary'
  readonly step: number
  /** Tokens trained on, over all processes of the run. */
  readonly tokens: number
  /** Time in training steps, over all processes of the run. */
  readonly seconds: number
  readonly heldoutLoss?: number
  readonly bitsPerByte?: number
}

export type RunEvent =
  | StartEvent
  | StateEvent
  | StepEvent
  | EvalEvent
  | SampleEvent
  | CheckpointEvent
  | MoveEvent
  | NoteEvent
  | SummaryEvent

/** An event as it lies in the file: with the time it was written, ISO 8601 in UTC. */
export type LoggedEvent = RunEvent & { readonly time: string }

/** The fields that a line must have to count as an event of its type. */
const REQUIRED: {
  readonly [T in RunEvent['type']]: Readonly<Record<string, 'number' | 'string' | 'object'>>
} = {
  start: { startStep: 'number', steps: 'number', parameters: 'number', pid: 'number', machine: 'object' },
  state: { state: 'string' },
  step: { step: 'number', steps: 'number', loss: 'number', learningRate: 'number', gradNorm: 'number' },
  eval: { step: 'number', loss: 'number' },
  sample: { step: 'number', prompt: 'string', text: 'string' },
  checkpoint: { step: 'number', path: 'string' },
  move: { step: 'number', from: 'string', to: 'string' },
  note: { message: 'string' },
  summary: { step: 'number', tokens: 'number', seconds: 'number' },
}

/** An open event log. Only one process may write it at a time: the run folder's lock sees to that. */
export interface EventLog {
  /** Bytes of a half-written last line that were cut off at opening; 0 when the file was whole. */
  readonly droppedBytes: number
  /** Appends one event as one line, in one write. Throws `environment` when the disk refuses it. */
  append(event: RunEvent): void
  close(): void
}

/**
 * Opens an event log for appending, and makes it when it is missing. A last line that a killed process
 * left half written is cut off, and a note event says so.
 */
export function openEventLog(path: string): EventLog {
  let fd: number
  try {
    fd = openSync(path, 'a+')
  } catch (cause) {
    throw logError(path, cause)
  }
  let size = fstatSync(fd).size
  const whole = endOfLastLine(fd, size)
  const droppedBytes = size - whole
  if (droppedBytes > 0) {
    ftruncateSync(fd, whole)
    size = whole
  }
  const append = (event: RunEvent): void => {
    const line = Buffer.from(`${JSON.stringify({ time: new Date().toISOString(), ...event })}\n`)
    try {
      for (let written = 0; written < line.length; ) written += writeSync(fd, line, written)
      size += line.length
    } catch (cause) {
      ftruncateSync(fd, size) // part of a line would spoil the next one
      throw logError(path, cause)
    }
  }
  if (droppedBytes > 0) {
    append({
      type: 'note',
      message: `the event log ended in a half-written line; ${droppedBytes} bytes were cut off`,
    })
  }
  return { droppedBytes, append, close: () => closeSync(fd) }
}

/** Offset behind the last newline; reads backwards, so a long log costs nothing. */
function endOfLastLine(fd: number, size: number): number {
  const chunk = Buffer.alloc(65536)
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - chunk.length)
    const count = readSync(fd, chunk, 0, end - start, start)
    const newline = chunk.subarray(0, count).lastIndexOf(10)
    if (newline >= 0) return start + newline + 1
    end = start
  }
  return 0
}

function logError(path: string, cause: unknown): RegaugeError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  const issue: Issue = {
    code: 'EVENTS_UNWRITABLE',
    message: `the event log cannot be written (${reason})`,
    file: path,
    hint: 'free space on the disk or choose another output folder',
  }
  return new RegaugeError('environment', issue, { cause })
}

/** A line that is no event: kept out of the reading, and told. */
export interface BadLine {
  /** 1-based. */
  readonly line: number
  readonly reason: string
}

/**
 * Reads a log from its beginning, also while another process writes it. A last line without a newline is
 * not there yet and is left out without a word; any other line that is no event goes to `onBadLine`.
 */
export async function* readEvents(
  path: string,
  onBadLine?: (bad: BadLine) => void,
): AsyncGenerator<LoggedEvent> {
  let rest = ''
  let line = 0
  for await (const chunk of createReadStream(path, { encoding: 'utf8', highWaterMark: 1 << 18 })) {
    const parts = (rest + chunk).split('\n')
    rest = parts.pop()!
    for (const text of parts) {
      line += 1
      const event = parseEvent(text)
      if (typeof event === 'string') onBadLine?.({ line, reason: event })
      else yield event
    }
  }
}

/** One line as an event, or the reason why it is none. */
function parseEvent(text: string): LoggedEvent | string {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return 'not JSON'
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'not an object'
  const record = value as Record<string, unknown>
  const type = record.type
  if (typeof type !== 'string' || !Object.hasOwn(REQUIRED, type))
    return `unknown type ${JSON.stringify(type)}`
  for (const [key, kind] of Object.entries(REQUIRED[type as RunEvent['type']])) {
    if (kind === 'number' && record[key] === null) record[key] = Number.NaN
    if (typeof record[key] !== kind || record[key] === null) return `${type} without ${key}`
  }
  if (type === 'step' && record.data !== undefined && typeof record.data !== 'string')
    return 'step whose data is no text'
  if (type === 'state' && !RUN_STATES.includes(record.state as RunState)) return 'unknown state'
  return record as unknown as LoggedEvent
}
