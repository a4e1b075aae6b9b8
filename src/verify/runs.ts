/** @file Verifies that two runs are the same one, from what they left: event logs and checkpoints. */
import { existsSync } from 'node:fs'
import { basename, join } from 'node:path'
import { RegaugeError } from '../errors.ts'
import {
  openSafetensorsFolder,
  readHfConfig,
  readSafetensor,
  readSafetensorsHeader,
  type SafetensorsFile,
  toFloat32,
} from '../formats/index.ts'
import { parametersOf, readArchitecture } from '../model/index.ts'
import { DEFAULT_OPTIMIZER, requireKind } from '../steps/index.ts'
import {
  type Checkpoint,
  changedSettings,
  CHECKPOINT_FILES as FILES,
  type RunHistory,
  readHistory,
  removedNote,
  shownPath,
  wholeCheckpoints,
} from '../train/index.ts'
import { VERSION } from '../version.ts'
import { conclude } from './comparison.ts'
import { createRecorder, type Recorder, type StepPair, stateEntries } from './evidence.ts'
import type { SettingDifference, Verification } from './verification.ts'

/**
 * Compares two run folders over the steps and checkpoints that both have: the first is the reference. Either may have
 * been stopped, resumed or moved; what a killed process did in vain does not count. Nothing is written.
 *
 * Throws RegaugeError: `usage` for a folder that holds no run, `data` when there is nothing to compare.
 *
 * @example
 * ```ts
 * import { verifyRuns, writeVerification } from 'regauge/verify'
 *
 * const verification = await verifyRuns('runs/books', 'runs/books-moved')
 * console.log(verification.verdict, verification.comparisons[0]?.departure)
 * ```
 */
export async function verifyRuns(reference: string, other: string): Promise<Verification> {
  const notes: string[] = []
  const [a, b] = [await openRun(reference, notes), await openRun(other, notes)]
  const steps = commonSteps(a.history, b.history)
  const recorder = createRecorder()
  const common: Checkpoint[] = []
  for (const one of a.checkpoints) {
    const second = b.checkpoints.find(({ state }) => state.step === one.state.step)
    if (second === undefined) continue
    try {
      await compareCheckpoints(recorder, one, second, notes)
      common.push(one)
    } catch (error) {
      if (existsSync(one.folder) && existsSync(second.folder)) throw error
      notes.push(removedNote(one.state.step))
    }
  }
  if (steps.length === 0 && common.length === 0) {
    const hint = `the first has ${range(a.history)}, the second ${range(b.history)}`
    const message = 'the runs have no step and no checkpoint in common'
    throw new RegaugeError('data', { code: 'VERIFY_NOTHING_COMMON', message, file: other, hint })
  }
  const settings = settingDifferences(a.checkpoints.at(-1), b.checkpoints.at(-1))
  if (a.checkpoints.length === 0 || b.checkpoints.length === 0) {
    notes.push('settings are not compared: a run without a checkpoint keeps none')
  } else if (common.length === 0)
    notes.push('weights and moments are not compared: no checkpoint is of a step of both')
  if (!steps.some(({ data }) => data.every((one) => one !== undefined))) {
    notes.push('batches are not compared: an older version wrote no fingerprints of them')
  }
  const side = (run: OpenedRun) => ({ name: shownPath(run.folder), description: runtimesOf(run.history) })
  const evidence = recorder.evidence(steps)
  const comparison = conclude(side(b), evidence, [], isHalf(a) || isHalf(b))
  return {
    mode: 'runs',
    title: basename(a.folder),
    verdict: comparison.verdict,
    reference: side(a),
    comparisons: [comparison],
    spread: [],
    begun: `${steps.length} steps and ${common.length} checkpoints of both`,
    settings,
    notes,
    machine: a.history.starts.at(-1)?.machine,
    version: VERSION,
  }
}

interface OpenedRun {
  readonly folder: string
  readonly history: RunHistory
  /** Whole ones, by step. */
  readonly checkpoints: readonly Checkpoint[]
}

async function openRun(folder: string, notes: string[]): Promise<OpenedRun> {
  const log = join(folder, 'events.jsonl')
  if (!existsSync(log)) {
    throw new RegaugeError('usage', {
      code: 'VERIFY_NO_RUN',
      message: existsSync(folder) ? 'holds no run (events.jsonl is missing)' : 'there is no such folder',
      file: folder,
      hint: 'give the folders of two runs',
    })
  }
  const checkpoints: Checkpoint[] = []
  const note = (message: string) => void notes.push(message)
  for await (const one of wholeCheckpoints(join(folder, 'checkpoints'), note)) checkpoints.unshift(one)
  return { folder, history: await readHistory(log), checkpoints }
}

/** Whether a run computes its products in 16 bits; one that says nothing does not. */
function isHalf({ checkpoints }: OpenedRun): boolean {
  const precision = checkpoints.at(-1)?.state.settings['train.precision']
  return precision !== undefined && precision !== 'float32'
}

function commonSteps(a: RunHistory, b: RunHistory): StepPair[] {
  const seconds = new Map(b.steps.map((event) => [event.step, event]))
  return a.steps.flatMap((first): StepPair[] => {
    const second = seconds.get(first.step)
    if (second === undefined) return []
    return [
      {
        step: first.step,
        loss: [first.loss, second.loss],
        gradNorm: [first.gradNorm, second.gradNorm],
        learningRate: [first.learningRate, second.learningRate],
        data: [first.data, second.data],
      },
    ]
  })
}

/** Settings that decide a run's numbers, as its newest checkpoint keeps them. */
function settingDifferences(a: Checkpoint | undefined, b: Checkpoint | undefined): SettingDifference[] {
  if (a === undefined || b === undefined) return []
  return changedSettings(a.state.settings, b.state.settings).map(({ key, first, second }) => ({
    key,
    reference: first ?? null,
    other: second ?? null,
  }))
}

async function compareCheckpoints(
  recorder: Recorder,
  a: Checkpoint,
  b: Checkpoint,
  notes: string[],
): Promise<void> {
  const [first, second] = [await openTensors(a.folder), await openTensors(b.folder)]
  const parameters = parametersOf(
    readArchitecture(await readHfConfig(join(a.folder, FILES.config)), a.folder),
  )
  const missing: string[] = []
  const optimizer = requireKind(
    a.state.settings['optimizer.kind'] ?? DEFAULT_OPTIMIZER,
    join(a.folder, FILES.state),
  )
  const tensors = stateEntries(optimizer, parameters).flatMap(({ kind, parameter, name }) => {
    const [own, others] = [first.get(name), second.get(name)]
    const shapes = [own, others].map((file) => String(file?.tensors.get(name)?.shape))
    if (own === undefined || others === undefined || shapes[0] !== shapes[1]) {
      missing.push(name)
      return []
    }
    const read = async () => [await values(own, name), await values(others, name)] as const
    return [[kind, parameter, read] as const]
  })
  if (missing.length > 0) {
    const rest = missing.length > 1 ? ` and ${missing.length - 1} more` : ''
    notes.push(`of step ${a.state.step}, ${missing[0]}${rest} are not in both with one shape`)
  }
  await recorder.look('states', a.state.step, tensors)
}

/** The file that each weight and moment of a checkpoint lies in. */
async function openTensors(folder: string): Promise<Map<string, SafetensorsFile>> {
  const files = new Map<string, SafetensorsFile>()
  for (const [name, { file }] of (await openSafetensorsFolder(folder)).tensors) files.set(name, file)
  const optimizer = await readSafetensorsHeader(join(folder, FILES.optimizer))
  for (const name of optimizer.tensors.keys()) files.set(name, optimizer)
  return files
}

async function values(file: SafetensorsFile, name: string): Promise<Float32Array> {
  return toFloat32(await readSafetensor(file, name), file.tensors.get(name)!.dtype)
}

/** The runtimes that a run has been on, in their order. */
function runtimesOf({ starts }: RunHistory): string {
  const runtimes = starts.map(({ machine }) => machine.runtime)
  return runtimes.filter((runtime, i) => runtime !== runtimes[i - 1]).join(', then ')
}

function range({ steps }: RunHistory): string {
  return steps.length === 0 ? 'none' : `steps ${steps[0]!.step} to ${steps.at(-1)!.step}`
}
