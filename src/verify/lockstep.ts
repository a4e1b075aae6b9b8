/** @file Several subjects through the same steps side by side, each compared with the first. */
import { RegaugeError } from '../errors.ts'
import { fingerprint } from '../train/index.ts'
import { createRecorder, type Evidence, type Recorder, type StepPair } from './evidence.ts'
import type { Subject } from './subject.ts'

export interface LockstepOptions {
  /** Steps done before: the first one here is the next. */
  readonly from: number
  readonly steps: number
  /** Gradients and state are compared at each so many steps, and state after the last one. */
  readonly gradientsEvery: number
  learningRate(step: number): number
  onStep?(step: number, losses: readonly number[]): void
  /** Is called before each step; what it throws ends the comparison. */
  check?(): void
}

/** What was found of one subject. */
export interface Found {
  readonly evidence: Evidence
  /** Why it did not do all of the steps. */
  readonly stopped?: string
}

/** Runs the steps. An error of the first subject passes through; another one's ends that one where it diverged. */
export async function lockstep(
  reference: Subject,
  others: readonly Subject[],
  options: LockstepOptions,
): Promise<Found[]> {
  const { from, steps, gradientsEvery } = options
  const tracks = others.map((subject): Track => {
    return { subject, recorder: createRecorder(), pairs: [], stopped: undefined }
  })
  for (let step = from + 1; step <= from + steps; step++) {
    options.check?.()
    const running = tracks.filter(({ stopped }) => stopped === undefined)
    const batch = await reference.batch(step)
    const batches = new Map([[reference, batch]])
    for (const { subject } of running) batches.set(subject, await subject.batch(step))

    // before the update, so that what differs here was not made by this step
    if ((step - from - 1) % gradientsEvery === 0) {
      await reference.gradients(batch)
      for (const { subject, recorder } of running) {
        await compareState(recorder, step - 1, reference, subject)
        await subject.gradients(batches.get(subject)!)
        await compareGradients(recorder, step, reference, subject)
      }
    }

    const learningRate = options.learningRate(step)
    const expected = await reference.step(batch, step, learningRate)
    for (const track of running) {
      const own = batches.get(track.subject)!
      const got = await track.subject.step(own, step, learningRate).catch((error: unknown) => {
        if (!(error instanceof RegaugeError) || error.kind !== 'diverged') throw error
        track.stopped = error.issues[0]!.message
        return { loss: Number.NaN, gradNorm: Number.NaN }
      })
      track.pairs.push({
        step,
        loss: [expected.loss, got.loss],
        gradNorm: [expected.gradNorm, got.gradNorm],
        learningRate: [learningRate, learningRate],
        data: [fingerprint(batch), fingerprint(own)],
      })
    }
    options.onStep?.(step, [expected.loss, ...tracks.map(({ pairs }) => pairs.at(-1)!.loss[1])])
  }
  for (const { subject, recorder, stopped } of tracks) {
    if (stopped === undefined) await compareState(recorder, from + steps, reference, subject)
  }
  return tracks.map(({ recorder, pairs, stopped }) => {
    return { evidence: recorder.evidence(pairs), ...(stopped !== undefined && { stopped }) }
  })
}

interface Track {
  readonly subject: Subject
  readonly recorder: Recorder
  readonly pairs: StepPair[]
  stopped: string | undefined
}

function compareGradients(recorder: Recorder, step: number, reference: Subject, other: Subject) {
  const tensors = reference.parameters.map((parameter) => {
    const { name } = parameter
    const read = async () => [await reference.gradient(name), await other.gradient(name)] as const
    return ['gradient', parameter, read] as const
  })
  return recorder.look('gradients', step, tensors)
}

function compareState(recorder: Recorder, step: number, reference: Subject, other: Subject) {
  const tensors = reference.states.map(({ kind, parameter, name }) => {
    const read = async () => [await reference.state(name), await other.state(name)] as const
    return [kind, parameter, read] as const
  })
  return recorder.look('states', step, tensors)
}
