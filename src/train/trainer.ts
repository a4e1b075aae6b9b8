/** @file One model in training on one device: compiled programs bound to the state, one call an optimizer step. */
import { RegaugeError } from '../errors.ts'
import type { Architecture } from '../model/index.ts'
import type { Runtime } from '../runtime/index.ts'
import { type BatchShape, evaluateStep, stateNames, stepScalars } from '../steps/index.ts'
import { createDevice, type Device } from './device.ts'
import { allocateSlots, type TrainingState } from './state.ts'
import { type LossScale, type StepPrograms, stepPrograms, type TrainerOptions } from './step-programs.ts'

/** Token ids and the ids to predict at each position; a negative label is ignored. Sequences one after another. */
export interface Batch {
  readonly ids: Int32Array
  readonly labels: Int32Array
}

/**
 * The scale starts high, halves when a gradient overflows and doubles after so many steps without, as in
 * torch.amp.GradScaler. Unlike there, the step that overflowed is done again, not left out: a run has all of its steps.
 */
const LOSS_SCALE = { first: 2 ** 16, most: 2 ** 24, growthSteps: 2000 } as const

export interface StepResult {
  /** Mean cross-entropy over the labels of the whole batch, nats. */
  readonly loss: number
  /** Global norm of the gradients before clipping. */
  readonly gradNorm: number
}

export interface Trainer {
  /** The loss scale after the last step; undefined in precisions that need none. */
  readonly lossScale: LossScale | undefined
  /**
   * One optimizer step. `step` counts from 1. Throws `RegaugeError('diverged')` when loss or norm is not finite; the
   * state is then what it was before the step.
   */
  step(batch: Batch, step: number, learningRate: number): Promise<StepResult>
  /** Sum of cross-entropy (nats) over micro-batches of microBatchSize sequences each, and the number of labels. */
  evaluate(batches: AsyncIterable<Batch> | Iterable<Batch>): Promise<{ nats: number; labels: number }>
  /** Makes the run under way stop soon and reject with kind `interrupted`; the state is undefined from then on. */
  interrupt(): void
  dispose(): void
}

/** Compiles the programs of a training run; `programs` are those of `stepPrograms`. The state stays the caller's. */
export async function createTrainer(
  runtime: Runtime,
  a: Architecture,
  state: TrainingState,
  options: TrainerOptions,
  programs: StepPrograms = stepPrograms(a, options),
): Promise<Trainer> {
  const { batchSize, microBatchSize, sequenceLength, optimizer } = options
  const microTokens = microBatchSize * sequenceLength
  const part = ({ ids, labels }: Batch, micro: number): Batch => ({
    ids: ids.subarray(micro * microTokens, (micro + 1) * microTokens),
    labels: labels.subarray(micro * microTokens, (micro + 1) * microTokens),
  })
  const device = createDevice(runtime, options.inPlace ?? runtime.inPlace)
  device.hold(state)
  const shapes = new Map(
    programs.accumulate === undefined
      ? []
      : state.parameters.map(({ name, shape }) => [stateNames.accumulated(name), shape]),
  )
  const accumulated = allocateSlots(runtime, shapes)
  device.hold(accumulated, true)
  /** What overflowed stays infinite even times 0. */
  const clearAccumulated = async (): Promise<void> => {
    for (const name of accumulated.names) {
      const tensor = accumulated.current(name)
      await tensor.write(new Uint8Array(tensor.byteLength))
    }
  }
  const [train, accumulate] = await orDispose(device, async () => [
    await device.prepare(programs.train),
    programs.accumulate && (await device.prepare(programs.accumulate)),
  ])
  let evaluate: Trainer['evaluate'] | undefined
  let lossScale =
    options.precision === 'float16' ? (options.lossScale ?? { scale: LOSS_SCALE.first, steps: 0 }) : undefined

  /** One step with the loss `factor` times as large. Where a number is not finite, the state is what it was. */
  const attempt = async (
    batch: Batch,
    step: number,
    learningRate: number,
    factor: number,
  ): Promise<StepResult> => {
    const scale = factor / Math.max(1, countLabels(batch.labels))
    const last = batchSize / microBatchSize - 1
    let loss = 0
    for (let micro = 0; micro < last; micro++) {
      await load(device, part(batch, micro), scale)
      await device.writeScalar('keep', micro === 0 ? 0 : 1)
      await accumulate!()
      loss += (await device.readScalar('loss')) / factor
      // the program itself guards its own micro-batch only
      if (!Number.isFinite(loss)) return { loss, gradNorm: Number.NaN }
    }
    await load(device, part(batch, last), scale)
    if (last > 0) await device.writeScalar('keep', 1)
    if (lossScale !== undefined) await device.writeScalar('unscale', 1 / factor)
    await device.writeScalar('learning_rate', learningRate)
    for (const [name, value] of stepScalars(optimizer, step, learningRate))
      await device.writeScalar(name, value)
    await train()
    loss += await device.readScalar('loss')
    return { loss, gradNorm: await device.readScalar('gradient_norm') }
  }

  return {
    get lossScale() {
      return lossScale
    },
    async step(batch, step, learningRate) {
      for (;;) {
        const result = await attempt(batch, step, learningRate, lossScale?.scale ?? 1)
        const { loss, gradNorm } = result
        const finite = Number.isFinite(loss) && Number.isFinite(gradNorm)
        if (!finite && (lossScale === undefined || lossScale.scale <= 1))
          throw diverged(step, loss, gradNorm, learningRate)
        lossScale = lossScale && nextScale(lossScale, finite)
        if (finite) return result
        await clearAccumulated()
      }
    },
    async evaluate(batches) {
      evaluate ??= await prepareEvaluation(device, a, { microBatch: microBatchSize, sequenceLength })
      return evaluate(batches)
    },
    interrupt: () => device.interrupt(),
    dispose: () => device.dispose(),
  }
}

/** A model that is only evaluated: the programs and the optimizer's state are left out. */
export async function createEvaluator(
  runtime: Runtime,
  a: Architecture,
  state: TrainingState,
  shape: BatchShape,
): Promise<Pick<Trainer, 'evaluate' | 'interrupt' | 'dispose'>> {
  const device = createDevice(runtime, runtime.inPlace)
  device.hold(state)
  const evaluate = await orDispose(device, () => prepareEvaluation(device, a, shape))
  return { evaluate, interrupt: () => device.interrupt(), dispose: () => device.dispose() }
}

/** Does work for a device, which is disposed of when that fails: the runtime may live on. */
async function orDispose<T>(device: Device, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    device.dispose()
    throw error
  }
}

async function prepareEvaluation(
  device: Device,
  a: Architecture,
  shape: BatchShape,
): Promise<Trainer['evaluate']> {
  const run = await device.prepare(evaluateStep(a, shape))
  return async (batches) => {
    let nats = 0
    let labels = 0
    for await (const batch of batches) {
      const count = countLabels(batch.labels)
      await load(device, batch, 1 / Math.max(1, count))
      await run()
      nats += (await device.readScalar('loss')) * count
      labels += count
    }
    return { nats, labels }
  }
}

async function load(device: Device, { ids, labels }: Batch, lossScale: number): Promise<void> {
  await device.write('ids', ids)
  await device.write('labels', labels)
  await device.write('loss_scale', Float32Array.of(lossScale))
}

function nextScale({ scale, steps }: LossScale, finite: boolean): LossScale {
  if (!finite) return { scale: scale / 2, steps: 0 }
  if (steps + 1 < LOSS_SCALE.growthSteps) return { scale, steps: steps + 1 }
  return { scale: Math.min(2 * scale, LOSS_SCALE.most), steps: 0 }
}

function diverged(step: number, loss: number, gradNorm: number, learningRate: number): RegaugeError {
  return new RegaugeError('diverged', {
    code: 'TRAIN_DIVERGED',
    message: `step ${step} diverged: loss ${loss}, gradient norm ${gradNorm}, learning rate ${learningRate}`,
    hint: 'nothing of this step was kept; lower optimizer.learningRate or lengthen schedule.warmupSteps',
  })
}

function countLabels(labels: Int32Array): number {
  let count = 0
  for (const label of labels) if (label >= 0) count++
  return count
}
