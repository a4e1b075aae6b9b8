/** @file One model in training on one device: compiled programs bound to the state, one call an optimizer step. */
import { RegaugeError } from '../errors.ts'
import { toOnnx } from '../graph/index.ts'
import type { Architecture } from '../model/index.ts'
import type { Binding, DeviceTensor, Runtime } from '../runtime/index.ts'
import {
  type AdamWOptions,
  accumulateStep,
  evaluateStep,
  type Program,
  stateNames,
  type TrainOptions,
  trainStep,
} from '../steps/index.ts'
import { allocateSlots, type TensorSlots, type TrainingState } from './state.ts'

/** Token ids and the ids to predict at each position; a negative label is ignored. Sequences one after another. */
export interface Batch {
  readonly ids: Int32Array
  readonly labels: Int32Array
}

/** What the programs are made for. */
export interface TrainerOptions {
  /** Sequences of one optimizer step. */
  readonly batchSize: number
  /** Sequences computed at once; divides `batchSize`. */
  readonly microBatchSize: number
  readonly sequenceLength: number
  readonly recompute: TrainOptions['recompute']
  readonly optimizer: AdamWOptions
  /** False: never write a state over itself, even where that is proven safe. For runtimes and tests that need it. */
  readonly inPlace?: boolean
}

export interface StepResult {
  /** Mean cross-entropy over the labels of the whole batch, nats. */
  readonly loss: number
  /** Global norm of the gradients before clipping. */
  readonly gradNorm: number
}

export interface Trainer {
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

/** The programs of one optimizer step: all micro-batches but the last accumulate gradients, the last one updates. */
export function stepPrograms(
  a: Architecture,
  options: TrainerOptions,
): { accumulate?: Program; train: Program } {
  const { batchSize, microBatchSize, sequenceLength, recompute, optimizer } = options
  if (batchSize % microBatchSize !== 0)
    throw new Error(`micro-batch ${microBatchSize} does not divide ${batchSize}`)
  const shape = { microBatch: microBatchSize, sequenceLength, recompute }
  const accumulates = batchSize > microBatchSize
  const train = trainStep(a, { ...shape, accumulates, optimizer })
  return accumulates ? { accumulate: accumulateStep(a, shape), train } : { train }
}

/** Compiles the programs of a training run. The state stays the caller's. */
export async function createTrainer(
  runtime: Runtime,
  a: Architecture,
  state: TrainingState,
  options: TrainerOptions,
): Promise<Trainer> {
  const { batchSize, microBatchSize, sequenceLength, optimizer } = options
  const microTokens = microBatchSize * sequenceLength
  const device = createDevice(runtime, options.inPlace ?? true)
  device.hold(state)
  const programs = stepPrograms(a, options)
  if (programs.accumulate !== undefined) {
    const shapes = new Map(state.parameters.map(({ name, shape }) => [stateNames.accumulated(name), shape]))
    device.hold(allocateSlots(runtime, shapes), true)
  }
  const train = await device.prepare(programs.train)
  const accumulate = programs.accumulate && (await device.prepare(programs.accumulate))
  let evaluate: (() => Promise<void>) | undefined

  const load = async ({ ids, labels }: Batch, micro: number, lossScale: number): Promise<void> => {
    const part = (x: Int32Array) => bytesOf(x.subarray(micro * microTokens, (micro + 1) * microTokens))
    await device.write('ids', part(ids))
    await device.write('labels', part(labels))
    await device.writeScalar('loss_scale', lossScale)
  }
  return {
    async step(batch, step, learningRate) {
      const scale = 1 / Math.max(1, countLabels(batch.labels))
      const last = batchSize / microBatchSize - 1
      let loss = 0
      const check = (gradNorm: number): void => {
        if (!Number.isFinite(loss) || !Number.isFinite(gradNorm))
          throw diverged(step, loss, gradNorm, learningRate)
      }
      for (let micro = 0; micro < last; micro++) {
        await load(batch, micro, scale)
        await device.writeScalar('keep', micro === 0 ? 0 : 1)
        await accumulate!()
        loss += await device.readScalar('loss')
        check(0) // the program itself guards its own micro-batch only
      }
      await load(batch, last, scale)
      if (last > 0) await device.writeScalar('keep', 1)
      const [beta1, beta2] = optimizer.betas
      await device.writeScalar('learning_rate', learningRate)
      await device.writeScalar('bias_correction1', 1 - beta1 ** step)
      await device.writeScalar('bias_correction2', Math.sqrt(1 - beta2 ** step))
      await train()
      loss += await device.readScalar('loss')
      const gradNorm = await device.readScalar('gradient_norm')
      check(gradNorm)
      return { loss, gradNorm }
    },
    async evaluate(batches) {
      evaluate ??= await device.prepare(evaluateStep(a, { microBatch: microBatchSize, sequenceLength }))
      let nats = 0
      let labels = 0
      for await (const batch of batches) {
        const count = countLabels(batch.labels)
        await load(batch, 0, 1 / Math.max(1, count))
        await evaluate()
        nats += (await device.readScalar('loss')) * count
        labels += count
      }
      return { nats, labels }
    },
    interrupt: () => device.interrupt(),
    dispose: () => device.dispose(),
  }
}

function diverged(step: number, loss: number, gradNorm: number, learningRate: number): RegaugeError {
  return new RegaugeError('diverged', {
    code: 'TRAIN_DIVERGED',
    message: `step ${step} diverged: loss ${loss}, gradient norm ${gradNorm}, learning rate ${learningRate}`,
    hint: 'nothing of this step was kept; lower optimizer.learningRate or lengthen schedule.warmupSteps',
  })
}

/** Programs and tensors of a trainer: state is found in slots, everything else is allocated by name and shared. */
function createDevice(runtime: Runtime, inPlace: boolean) {
  const slots = new Map<string, TensorSlots>()
  const shared = new Map<string, DeviceTensor>()
  const disposables: { dispose(): void }[] = []
  let running: Binding | undefined

  const tensor = (name: string, spec: Parameters<Runtime['allocate']>[0]): DeviceTensor => {
    const found = shared.get(name) ?? runtime.allocate(spec)
    shared.set(name, found)
    return found
  }
  return {
    /** Makes the tensors of `held` known by their names; `owned` ones are disposed of with the device. */
    hold(held: TensorSlots, owned = false): void {
      for (const name of held.names) slots.set(name, held)
      if (owned) disposables.push(held)
    },
    /** Compiles a program; the function that comes back runs it once over the current state. */
    async prepare({ name, graph, state }: Program): Promise<() => Promise<void>> {
      const program = await runtime.load(toOnnx(graph, name))
      disposables.unshift(program)
      const bindings = new Map<string, Binding>()
      const successors = new Map(state.map((pair) => [pair.output, pair]))
      const doubled = new Set(state.filter((pair) => !(inPlace && pair.inPlace)))
      for (const [input, spec] of program.inputs) if (!slots.has(input)) tensor(input, spec)

      const bind = (): Binding => {
        const inputs = new Map<string, DeviceTensor>()
        const outputs = new Map<string, DeviceTensor>()
        for (const [input, spec] of program.inputs) {
          inputs.set(input, slots.get(input)?.current(input) ?? tensor(input, spec))
        }
        for (const [output, spec] of program.outputs) {
          const pair = successors.get(output)
          if (pair === undefined) outputs.set(output, tensor(output, spec))
          else if (doubled.has(pair)) outputs.set(output, slots.get(pair.input)!.spare(pair.input))
          else outputs.set(output, inputs.get(pair.input)!)
        }
        return program.bind(inputs, outputs)
      }
      return async () => {
        const key = [...program.inputs.keys()].map((input) => slots.get(input)?.side(input) ?? '').join('')
        const binding = bindings.get(key) ?? bind()
        bindings.set(key, binding)
        running = binding
        try {
          await binding.run()
        } finally {
          running = undefined
        }
        for (const { input } of doubled) slots.get(input)!.swap(input)
      }
    },
    write: (name: string, bytes: Uint8Array) => shared.get(name)!.write(bytes),
    writeScalar: (name: string, value: number) => shared.get(name)!.write(bytesOf(Float32Array.of(value))),
    async readScalar(name: string): Promise<number> {
      const bytes = await shared.get(name)!.read()
      return new DataView(bytes.buffer, bytes.byteOffset).getFloat32(0, true)
    },
    interrupt: () => running?.interrupt(),
    dispose(): void {
      for (const one of disposables) one.dispose()
      for (const one of shared.values()) one.dispose()
    },
  }
}

function bytesOf(values: Int32Array | Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
}

function countLabels(labels: Int32Array): number {
  let count = 0
  for (const label of labels) if (label >= 0) count++
  return count
}
