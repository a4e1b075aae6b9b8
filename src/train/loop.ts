/** @file The training loop: batches in, steps, evaluations, samples and checkpoints out, until the end or a stop. */
import { RegaugeError } from '../errors.ts'
import type { WrittenCheckpoint } from './checkpoint/write.ts'
import { type LearningRateSchedule, learningRateAt } from './learning-rate.ts'
import type { RunEvent } from './log/events.ts'
import { fingerprint } from './log/fingerprint.ts'
import type { Batch, Trainer } from './trainer.ts'

/** Held-out text as batches of the evaluation program, and what bits per byte need to know of it. */
export interface HeldOutBatches {
  readonly batchCount: number
  batch(index: number): Promise<Batch>
  /** UTF-8 bytes of text for each label. */
  readonly bytesPerLabel: number
}

/** Work done so far, over all processes of the run. */
export interface Progress {
  readonly step: number
  readonly tokens: number
  /** Time in training steps. */
  readonly seconds: number
}

/** All that the loop works with; made by `train`, or by hand. */
export interface LoopContext {
  readonly trainer: Trainer
  /** The batch of a step, from 0. */
  readonly batches: { batch(step: number): Promise<Batch> }
  readonly heldout: HeldOutBatches
  readonly schedule: LearningRateSchedule
  readonly tokensPerStep: number
  /** Where the run goes on from; step 0 for a new one. */
  readonly from: Progress
  /** Steps between evaluations, and the most batches of one. */
  readonly evaluate: { readonly everySteps: number; readonly batches: number }
  readonly checkpointEverySteps: number
  /** FLOPs of one step's matrix products, and the measured limit of the machine. */
  readonly flops: { readonly perStep: number; readonly limitPerSecond: number }
  emit(event: RunEvent): void
  save(progress: Progress): Promise<WrittenCheckpoint>
  /** Texts written by the model as it is now; once the signal is aborted, those that are whole by then. */
  sample(
    step: number,
    signal: AbortSignal,
  ): Promise<readonly { readonly prompt: string; readonly text: string }[]>
  /** Save and stop. */
  readonly stop: AbortSignal
  /** Stop now, without saving. */
  readonly abort: AbortSignal
}

/** How the loop ended. */
export interface LoopEnd extends Progress {
  readonly state: 'finished' | 'stopped'
  readonly heldoutLoss?: number
  readonly bitsPerByte?: number
}

/** Trains from `from.step` to the schedule's end. Errors of a step pass through; what was saved before stays. */
export async function trainLoop(context: LoopContext): Promise<LoopEnd> {
  const { trainer, batches, schedule, from, emit, stop, abort } = context
  const { steps } = schedule
  const pace = createPace()
  let { step, tokens, seconds } = from
  let saved = step

  const save = async (): Promise<void> => {
    if (saved === step) return
    emit({ type: 'state', state: 'saving' })
    const began = performance.now()
    const { folder, bytes } = await context.save({ step, tokens, seconds })
    saved = step
    emit({ type: 'checkpoint', step, path: folder, bytes, seconds: secondsSince(began) })
  }
  const onAbort = () => trainer.interrupt()
  abort.addEventListener('abort', onAbort)
  try {
    if (step < steps) emit({ type: 'state', state: 'training' })
    let next = step < steps ? ahead(batches.batch(step)) : undefined
    while (step < steps && !stop.aborted) {
      // the batch was fetched while the step before it ran; the next one is fetched while this one runs
      const began = performance.now()
      const batch = await next!
      if (step + 1 < steps) next = ahead(batches.batch(step + 1))

      // one optimizer step; it throws, with the state as it was, when loss or norm is not finite
      throwIfAborted(abort)
      const learningRate = learningRateAt(schedule, step + 1)
      const { loss, gradNorm } = await trainer.step(batch, step + 1, learningRate)
      step += 1
      tokens += context.tokensPerStep

      // time counts the step and the wait for its batch, and nothing else
      const stepSeconds = secondsSince(began)
      seconds += stepSeconds
      pace.add(stepSeconds)
      emit({
        type: 'step',
        step,
        steps,
        loss,
        learningRate,
        gradNorm,
        data: fingerprint(batch),
        tokensPerSecond: context.tokensPerStep / stepSeconds,
        matmulShare: context.flops.perStep / stepSeconds / context.flops.limitPerSecond,
        etaSeconds: (steps - step) * pace.secondsPerStep(),
        memoryBytes: process.memoryUsage.rss(),
        stepSeconds,
      })
      if (step === steps) break

      // held-out loss and samples, then a checkpoint, so that what is saved is also evaluated
      const busy = step % context.evaluate.everySteps === 0 || step % context.checkpointEverySteps === 0
      if (step % context.evaluate.everySteps === 0) await evaluate(context, step, context.evaluate.batches)
      if (step % context.checkpointEverySteps === 0) await save()
      if (busy && !stop.aborted) emit({ type: 'state', state: 'training' })
    }
    await save()
    if (step < steps) return stopped({ step, tokens, seconds })

    // the last word: all of the held-out text
    const last = await evaluate(context, step, Number.POSITIVE_INFINITY)
    if (last === undefined) return stopped({ step, tokens, seconds })
    const { loss: heldoutLoss, bitsPerByte } = last
    emit({ type: 'summary', step, tokens, seconds, heldoutLoss, bitsPerByte })
    emit({ type: 'state', state: 'finished' })
    return { state: 'finished', step, tokens, seconds, heldoutLoss, bitsPerByte }
  } finally {
    abort.removeEventListener('abort', onAbort)
  }

  function stopped(progress: Progress): LoopEnd {
    emit({ type: 'state', state: 'stopped', message: `stopped and saved at step ${progress.step}` })
    return { state: 'stopped', ...progress }
  }
}

/** Held-out loss over at most `most` batches, evenly spread, and samples; undefined when a stop came in between. */
async function evaluate(
  { trainer, heldout, emit, sample, stop, abort }: LoopContext,
  step: number,
  most: number,
): Promise<{ loss: number; bitsPerByte: number } | undefined> {
  emit({ type: 'state', state: 'evaluating' })
  const result = await heldoutLoss(trainer, heldout, most, () => {
    throwIfAborted(abort)
    return stop.aborted
  })
  if (result === undefined) return undefined
  emit({ type: 'eval', step, ...result })
  const samples = await sample(step, AbortSignal.any([stop, abort]))
  throwIfAborted(abort)
  for (const { prompt, text } of samples) emit({ type: 'sample', step, prompt, text })
  return stop.aborted ? undefined : result
}

/** Mean cross-entropy over at most `most` batches, evenly spread; undefined when `stopped` said so in between. */
export async function heldoutLoss(
  trainer: Pick<Trainer, 'evaluate'>,
  heldout: HeldOutBatches,
  most: number,
  stopped: () => boolean = () => false,
): Promise<{ loss: number; bitsPerByte: number } | undefined> {
  const count = Math.min(most, heldout.batchCount)
  async function* chosen(): AsyncGenerator<Batch> {
    for (let i = 0; i < count && !stopped(); i++) {
      yield await heldout.batch(Math.floor((i * heldout.batchCount) / count))
    }
  }
  const { nats, labels } = await trainer.evaluate(chosen())
  if (stopped()) return undefined
  const loss = nats / labels
  return { loss, bitsPerByte: loss / Math.LN2 / heldout.bytesPerLabel }
}

/** Smoothed time of a step: a moving mean over about the last 20; the first step, which warms up, counts little. */
function createPace() {
  let mean = 0
  let count = 0
  return {
    add(seconds: number): void {
      count += 1
      mean += (seconds - mean) * (count <= 2 ? 1 : Math.max(1 / (count - 1), 0.1))
    },
    secondsPerStep: () => mean,
  }
}

/** A failure is seen when the promise is awaited, and not before. */
function ahead<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}

function throwIfAborted(abort: AbortSignal): void {
  if (!abort.aborted) return
  throw new RegaugeError('interrupted', {
    code: 'TRAIN_INTERRUPTED',
    message: 'training was stopped at once',
  })
}

function secondsSince(began: number): number {
  return (performance.now() - began) / 1000
}
