/** @file One of those that are compared in lockstep: a model in training on a runtime, its gradients open to view. */
import type { Architecture } from '../model/index.ts'
import type { Runtime } from '../runtime/index.ts'
import { gradientStep, kindOf, type StepProgram, stateNames } from '../steps/index.ts'
import {
  allocateState,
  type Batch,
  createDevice,
  createTrainer,
  type StepPrograms,
  type StepResult,
  stepPrograms,
  type TrainerOptions,
  type TrainingState,
} from '../train/index.ts'
import { type ComparedParameter, type StateEntry, stateEntries } from './evidence.ts'

export interface Subject {
  readonly name: string
  readonly description: string
  /** In the order of the forward pass. */
  readonly parameters: readonly ComparedParameter[]
  /** Weights and what the optimizer keeps for them, in that order. */
  readonly states: readonly StateEntry[]
  /** The batch of a step (from 1) as this one sees it. */
  batch(step: number): Promise<Batch>
  /** One optimizer step; throws when loss or norm is not finite. */
  step(batch: Batch, step: number, learningRate: number): Promise<StepResult>
  /** Computes the gradients of a batch's first micro-batch, at the weights as they are. */
  gradients(batch: Batch): Promise<void>
  /** One of them. */
  gradient(parameter: string): Promise<Float32Array>
  /** A weight, or what the optimizer keeps for it, as it is. */
  state(name: string): Promise<Float32Array>
  dispose(): void
}

/** The programs of a subject. */
export interface SubjectPrograms extends StepPrograms {
  readonly gradients: StepProgram
}

/** Builds the programs of a subject. */
export function subjectPrograms(
  a: Architecture,
  options: TrainerOptions,
  step: StepPrograms = stepPrograms(a, options),
): SubjectPrograms {
  const { microBatchSize: microBatch, sequenceLength, recompute, precision } = options
  return { ...step, gradients: gradientStep(a, { microBatch, sequenceLength }, recompute, precision) }
}

/** What a subject is made of. */
export interface SubjectParts extends Pick<Subject, 'name' | 'batch'> {
  /** Becomes the subject's own, also when it cannot be opened. */
  readonly runtime: Runtime
  readonly architecture: Architecture
  readonly options: TrainerOptions
  /** Gives the state its first values. */
  fill(state: TrainingState): Promise<void>
  readonly programs?: SubjectPrograms
}

/** Compiles a subject. */
export async function openSubject({
  name,
  runtime,
  architecture: a,
  options,
  fill,
  batch,
  programs = subjectPrograms(a, options),
}: SubjectParts): Promise<Subject> {
  const resources: { dispose(): void }[] = [runtime]
  const held = <T extends { dispose(): void }>(resource: T): T => {
    resources.unshift(resource)
    return resource
  }
  const dispose = (): void => {
    for (const resource of resources.splice(0)) resource.dispose()
  }
  try {
    const state = held(allocateState(runtime, a, kindOf(options.optimizer)))
    await fill(state)
    const trainer = held(await createTrainer(runtime, a, state, options, programs))
    const device = held(createDevice(runtime, options.inPlace ?? runtime.inPlace))
    device.hold(state)
    const run = await device.prepare(programs.gradients)
    const names = state.parameters.map((parameter) => parameter.name)
    let factor = 1
    const gradient = async (parameter: string): Promise<Float32Array> => {
      const values = floats(await device.read(stateNames.accumulated(parameter)))
      return factor === 1 ? values : values.map((value) => value / factor)
    }
    const overflowed = async (): Promise<boolean> => {
      for (const one of names) if (!(await gradient(one)).every(Number.isFinite)) return true
      return false
    }
    const micro = options.microBatchSize * options.sequenceLength
    return {
      name,
      description: runtime.description,
      parameters: state.parameters,
      states: stateEntries(kindOf(options.optimizer), state.parameters),
      batch,
      step: (...given) => trainer.step(...given),
      async gradients({ ids, labels }) {
        const count = labels.reduce((sum, label) => sum + (label >= 0 ? 1 : 0), 0)
        await device.write('ids', ids.subarray(0, micro))
        await device.write('labels', labels.subarray(0, micro))
        // with the loss scale of the training step, lowered as there where a gradient overflows
        for (factor = trainer.lossScale?.scale ?? 1; ; factor /= 2) {
          await device.writeScalar('loss_scale', factor / Math.max(1, count))
          await run()
          if (factor <= 1 || !(await overflowed())) return
        }
      },
      gradient,
      state: async (tensor) => floats(await state.current(tensor).read()),
      dispose,
    }
  } catch (error) {
    dispose()
    throw error
  }
}

function floats(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
}
