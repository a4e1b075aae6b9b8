/** @file Runs that are the same on two runtimes, and deliberate faults, each caught and named. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hashFile, readSafetensorsHeader, writeSafetensors } from '../src/formats/index.ts'
import { type GradientRule, gradientRules } from '../src/graph/gradient-rules.ts'
import { mul, type Node, type Op } from '../src/graph/index.ts'
import { PRESETS, readArchitecture } from '../src/model/index.ts'
import { createRuntime, type ProviderName } from '../src/runtime/index.ts'
import { stateText } from '../src/train/checkpoint/files.ts'
import {
  type Batch,
  completeRun,
  initializeState,
  type ResolvedRun,
  type Run,
  type TrainerOptions,
  type TrainingState,
  train,
} from '../src/train/index.ts'
import { conclude } from '../src/verify/comparison.ts'
import { type Comparison, verifyRuns, verifyRuntimes } from '../src/verify/index.ts'
import { lockstep } from '../src/verify/lockstep.ts'
import { openSubject, type Subject, type SubjectPrograms, subjectPrograms } from '../src/verify/subject.ts'
import { command } from './command.ts'
import { missingRuntime } from './runtimes.ts'

const place = mkdtempSync(join(tmpdir(), 'regauge-verify-test-'))
afterAll(() => rmSync(place, { recursive: true, force: true }))

const sizes = {
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 8,
  initializer_range: 0.08,
}

/** One layer, for a device that software stands in for: every kernel of a step, and half the time. */
const shallow = { ...sizes, num_hidden_layers: 1 }

function words(seed: number): string {
  const list = ['north', 'south', 'east', 'west', 'rail', 'gauge', 'train', 'stops', 'goes']
  return Array.from({ length: 300 }, (_, i) => list[(i * i + seed * i) % list.length]).join(' ')
}

function runOf(name: string, extra: Partial<Run> = {}): ResolvedRun {
  return completeRun({
    name,
    model: { preset: 'nano', overrides: sizes },
    tokenizer: { train: { vocabSize: 280 } },
    data: { train: join(place, 'text'), heldout: { fraction: 0.2 }, sequenceLength: 16 },
    train: { steps: 60, batchSize: 2 },
    optimizer: { learningRate: 5e-3 },
    checkpoint: { everySteps: 10, keepLast: 10 },
    output: join(place, 'runs'),
    ...extra,
  })
}

beforeAll(() => {
  mkdirSync(join(place, 'text'))
  for (let i = 0; i < 10; i++) writeFileSync(join(place, 'text', `${i}.txt`), words(i))
  const qwen3 = { ...PRESETS.nano, ...shallow, vocab_size: 320, model_type: 'qwen3' }
  writeFileSync(join(place, 'qwen3.json'), JSON.stringify(qwen3))
})

describe('runtimes', () => {
  test('one runtime twice is the same, bit for bit', async () => {
    const cpu = { name: 'cpu', index: 0 } as const
    const result = await verifyRuntimes(runOf('twice'), { on: [cpu, cpu], steps: 4, threads: 1 })
    expect(result).toMatchObject({ verdict: 'same', begun: 'first weights of seed 1', notes: [] })
    const [comparison] = result.comparisons
    expect(comparison!.departure).toBeUndefined()
    expect(comparison!.steps.map(({ step }) => step)).toEqual([1, 2, 3, 4])
    for (const { loss, gradNorm, data } of comparison!.steps) {
      expect(loss[0]).toBe(loss[1])
      expect(gradNorm[0]).toBe(gradNorm[1])
      expect(data[0]).toBe(data[1])
    }
    expect(comparison!.tensors).toHaveLength(4 * 20)
    for (const { relativeError } of comparison!.tensors) expect(relativeError).toBe(0)
    expect(result.spread.map(({ name }) => name)).toEqual(['cpu, again', 'cpu, threads: 2'])
  })

  test('told to stop while the text is made ready, it goes no further', async () => {
    // it would be refused where programs are made
    const run = runOf('interrupted', { train: { steps: 60, batchSize: 2, precision: 'bfloat16' } })
    const on = [{ name: 'cpu', index: 0 }] as const
    await expect(verifyRuntimes(run, { on })).rejects.toMatchObject({ kind: 'usage' })
    const signal = AbortSignal.abort()
    await expect(verifyRuntimes(run, { on, signal })).rejects.toMatchObject({ kind: 'interrupted' })
  })

  const other: ProviderName = 'webgpu'
  const missing = missingRuntime(other)
  if (missing !== undefined) console.warn(`skipped: 50 steps on ${other}: ${missing}`)
  test.skipIf(missing !== undefined).each([
    ['llama', { preset: 'nano', overrides: shallow }],
    ['qwen3', { config: join(place, 'qwen3.json') }],
  ] satisfies [string, Run['model']][])(
    '50 steps of %s are the same on cpu and another runtime',
    async (name, model) => {
      const on = (['cpu', other] as const).map((one) => ({ name: one, index: 0 }))
      const result = await verifyRuntimes(runOf(name, { model }), { on, steps: 50, threads: 1 })
      const [comparison] = result.comparisons
      expect(comparison!.departure).toBeUndefined()
      expect(result.verdict).toBe('same')
      expect(comparison!.steps).toHaveLength(50)
      for (const { loss } of comparison!.steps) expect(Math.abs(loss[1] / loss[0] - 1)).toBeLessThan(1e-5)
      const gradients = comparison!.tensors.filter(({ kind }) => kind === 'gradient')
      expect(gradients).toHaveLength(name === 'llama' ? 11 : 13)
      for (const { cosine } of gradients) expect(cosine).toBeGreaterThan(0.99999)
    },
    600_000,
  )
})

describe('faults in lockstep', () => {
  const a = readArchitecture({ ...PRESETS.nano, ...sizes, vocab_size: 64, tie_word_embeddings: false })
  const options: TrainerOptions = {
    batchSize: 2,
    microBatchSize: 2,
    sequenceLength: 16,
    recompute: 'none',
    optimizer: { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1, clipNorm: 1 },
  }
  const right = subjectPrograms(a, options)

  async function batch(step: number): Promise<Batch> {
    const ids = Int32Array.from({ length: 32 }, (_, i) => (i * i + 7 * i + 13 * step) % 64)
    return { ids, labels: Int32Array.from(ids, (_, i) => (ids[i]! * 5 + 1) % 64) }
  }

  const states = new WeakMap<Subject, TrainingState>()

  async function open(programs: SubjectPrograms = right, batches = batch): Promise<Subject> {
    const runtime = createRuntime({ name: 'cpu', threads: 1 })
    let held: TrainingState
    const fill = async (state: TrainingState) => {
      held = state
      await initializeState(state, a, 1)
    }
    const subject = await openSubject({
      name: 'a run',
      runtime,
      architecture: a,
      options,
      fill,
      batch: batches,
      programs,
    })
    states.set(subject, held!)
    return subject
  }

  /** Compares a sound subject with another for some steps. */
  async function compared(other: Subject, steps = 8, gradientsEvery = 1): Promise<Comparison> {
    const reference = await open()
    try {
      const [found] = await lockstep(reference, [other], {
        from: 0,
        steps,
        gradientsEvery,
        learningRate: () => 3e-3,
      })
      return conclude({ name: 'other', description: '', ...found }, found!.evidence, [])
    } finally {
      reference.dispose()
      other.dispose()
    }
  }

  /** The programs with one gradient rule made wrong. */
  function withRule<K extends Op>(
    op: K,
    wrong: (right: GradientRule<K>) => GradientRule<K>,
  ): SubjectPrograms {
    const rules = gradientRules as { [key: string]: unknown }
    const rule = gradientRules[op] as GradientRule<K>
    rules[op] = wrong(rule)
    try {
      return subjectPrograms(a, options)
    } finally {
      rules[op] = rule
    }
  }

  /** Names of the program inputs that a node reads. */
  const inputsOf = ({ inputs }: Node) =>
    inputs.flatMap(({ node }) => (node.op === 'input' ? [(node as Node<'input'>).attributes.name] : []))

  test('none', async () => {
    expect(await compared(await open())).toMatchObject({ verdict: 'same' })
  })

  test.each([1.5, -1])('a gradient of one weight, %f times as large', async (factor) => {
    const weight = 'model.layers.1.mlp.up_proj.weight'
    const programs = withRule('matmul', (rule) => (node, given) => {
      const [left, second] = rule(node, given)
      return inputsOf(node).includes(weight) ? [left, second && mul(second, factor)] : [left, second]
    })
    const comparison = await compared(await open(programs))
    expect(comparison.verdict).toBe('different')
    expect(comparison.departure).toMatchObject({
      step: 1,
      cause: 'gradient',
      tensor: { kind: 'gradient', name: weight },
      layer: 1,
      tensors: 1,
    })
    expect(comparison.criteria.find(({ id }) => id === 'gradient-scale')!.verdict).toBe('fail')
  })

  test('a gradient rule that spoils everything below it', async () => {
    const weight = 'model.layers.1.mlp.down_proj.weight'
    const programs = withRule('matmul', (rule) => (node, given) => {
      const [left, right] = rule(node, given)
      return inputsOf(node).includes(weight) ? [left && mul(left, 1.5), right] : [left, right]
    })
    const { verdict, departure } = await compared(await open(programs))
    expect(verdict).toBe('different')
    expect(departure).toMatchObject({
      step: 1,
      cause: 'gradient',
      tensor: { name: 'model.embed_tokens.weight' },
      backwardFirst: 'model.layers.1.mlp.up_proj.weight',
    })
    expect(departure!.layer).toBeUndefined()
  })

  test('a batch whose sequences changed places, though loss and gradients are the same', async () => {
    const turned = (x: Int32Array) => Int32Array.from([...x.subarray(16), ...x.subarray(0, 16)])
    const shuffled = async (step: number): Promise<Batch> => {
      const { ids, labels } = await batch(step)
      return step === 5 ? { ids: turned(ids), labels: turned(labels) } : { ids, labels }
    }
    const { verdict, departure } = await compared(await open(right, shuffled))
    expect(verdict).toBe('different')
    expect(departure).toMatchObject({ step: 5, cause: 'data' })
  })

  test.each([1, 3])('moments lost after step 4, looked at each %i steps', async (every) => {
    const subject = await open()
    const comparison = await compared(forgetful(subject, 4), 9, every)
    expect(comparison.verdict).toBe('different')
    expect(comparison.departure).toMatchObject({ step: every === 1 ? 4 : 5, cause: 'optimizer' })
    // a loss within every published criterion would not have told
    expect(comparison.criteria.find(({ id }) => id === 'first-loss')!.verdict).toBe('pass')
    if (every > 1) return
    const { tensor } = comparison.departure!
    expect(tensor).toMatchObject({
      kind: 'first moment',
      name: 'model.embed_tokens.weight',
      relativeError: 1,
    })
  })

  /** A subject whose moments become zero after a step. */
  function forgetful(subject: Subject, after: number): Subject {
    return {
      ...subject,
      async step(given, step, learningRate) {
        const result = await subject.step(given, step, learningRate)
        const state = states.get(subject)!
        for (const name of step === after ? state.names.filter((one) => one.startsWith('exp_avg')) : []) {
          const tensor = state.current(name)
          await tensor.write(new Uint8Array(tensor.byteLength))
        }
        return result
      },
    }
  }

  test('an update with another learning rate', async () => {
    const subject = await open()
    const faster: Subject = { ...subject, step: (given, step, rate) => subject.step(given, step, rate * 1.1) }
    const { verdict, departure } = await compared(faster)
    expect(verdict).toBe('different')
    expect(departure).toMatchObject({ step: 1, cause: 'optimizer', tensor: { kind: 'weight' } })
  })

  test('another model in the forward pass', async () => {
    const other = readArchitecture({ ...a.config, rms_norm_eps: 0.5 })
    const { verdict, departure } = await compared(await open(subjectPrograms(other, options)))
    expect(verdict).toBe('different')
    expect(departure).toMatchObject({ step: 1, cause: 'forward', tensor: { kind: 'gradient' } })
  })

  test('one that diverges', async () => {
    const subject = await open()
    const wild: Subject = {
      ...subject,
      step: (given, step) => subject.step(given, step, step === 3 ? 1e30 : 3e-3),
    }
    const { verdict, stopped, steps } = await compared(wild)
    expect(verdict).toBe('different')
    expect(stopped).toMatch(/^step 4 diverged/)
    expect(steps.at(-1)).toMatchObject({ step: 4, loss: [expect.any(Number), Number.NaN] })
  })
})

describe('runs that were there', () => {
  /** Trains to `steps`, or goes on with what is there. */
  async function trained(name: string, extra: Partial<Run> = {}, stopAt?: number): Promise<string> {
    const stop = new AbortController()
    const { folder } = await train(runOf(name, { train: { steps: 30, batchSize: 2 }, ...extra }), {
      threads: 1,
      stop: stop.signal,
      onEvent: (event) => {
        if (event.type === 'step' && event.step === stopAt) stop.abort()
      },
    })
    return folder
  }

  const fresh = { checkpoint: { everySteps: 5, keepLast: 100 } }
  let reference: string
  beforeAll(async () => {
    reference = await trained('reference', fresh)
  })

  test('a run that was stopped and resumed is the same', async () => {
    await trained('resumed', fresh, 12)
    const { verdict, comparisons, settings, notes, begun } = await verifyRuns(
      reference,
      await trained('resumed', fresh),
    )
    expect({ verdict, settings, notes, begun }).toEqual({
      verdict: 'same',
      settings: [],
      notes: [],
      begun: '30 steps and 6 checkpoints of both',
    })
    expect(comparisons[0]!.steps.every(({ loss }) => loss[0] === loss[1])).toBe(true)
  })

  test.each([
    ['with the checkpoint that lost them', true],
    ['with later checkpoints only', false],
  ])('moments lost at a resume are named, %s', async (_, keeps) => {
    const name = `lost-${keeps}`
    const folder = await trained(name, fresh, 12)
    const at = join(folder, 'checkpoints', 'step-00000012')
    await zeroMoments(at)
    await trained(name, fresh)
    // the reference has a checkpoint of step 12 too, or neither has one near
    const other = join(place, `reference-${keeps}`)
    cpSync(reference, other, { recursive: true })
    if (keeps)
      cpSync((await stoppedAt12()) ?? '', join(other, 'checkpoints', 'step-00000012'), { recursive: true })
    else rmSync(join(other, 'checkpoints'), { recursive: true })
    const { verdict, comparisons } = await verifyRuns(other, folder)
    expect(verdict).toBe('different')
    const { departure } = comparisons[0]!
    expect(departure).toMatchObject({ step: keeps ? 12 : 13, cause: 'optimizer' })
    if (keeps) expect(departure!.tensor).toMatchObject({ kind: 'first moment', relativeError: 1 })
  })

  async function stoppedAt12(): Promise<string> {
    return join(await trained('sound', fresh, 12), 'checkpoints', 'step-00000012')
  }

  test('another seed is other data and other weights', async () => {
    const other = await trained('seed', { ...fresh, seed: 2 })
    const { verdict, settings, comparisons } = await verifyRuns(reference, other)
    expect(verdict).toBe('different')
    expect(settings).toEqual([{ key: 'seed', reference: 1, other: 2 }])
    expect(comparisons[0]!.departure).toMatchObject({ step: 1, cause: 'data' })
  })

  test('products of 16 bits are the same run by the published criteria', async () => {
    const other = await trained('half', {
      ...fresh,
      train: { steps: 30, batchSize: 2, precision: 'float16' },
    })
    const { verdict, settings, comparisons } = await verifyRuns(reference, other)
    expect(verdict).toBe('within-criteria')
    expect(settings).toEqual([{ key: 'train.precision', reference: 'float32', other: 'float16' }])
    expect(comparisons[0]!.departure).toMatchObject({ cause: 'arithmetic' })
  })

  test('another schedule', async () => {
    const other = await trained('schedule', { ...fresh, schedule: { kind: 'linear' } })
    const { verdict, settings, comparisons } = await verifyRuns(reference, other)
    expect(verdict).toBe('different')
    expect(settings.map(({ key }) => key)).toEqual(['schedule.kind'])
    expect(comparisons[0]!.departure).toMatchObject({ cause: 'schedule' })
  })

  test('another weight decay is an optimizer that differs', async () => {
    const other = await trained('decay', { ...fresh, optimizer: { learningRate: 5e-3, weightDecay: 0.9 } })
    const { verdict, comparisons } = await verifyRuns(reference, other)
    expect(verdict).toBe('different')
    expect(comparisons[0]!.departure).toMatchObject({ cause: 'optimizer' })
  })

  test('the command tells it in a hundred columns, as JSON and as a page, by its exit code', async () => {
    const other = await trained('told', { ...fresh, seed: 3 })
    const page = join(place, 'told.html')
    const told = await command(['verify', reference, other, '--out', page])
    expect(told.code).toBe(7)
    expect(told.out).toMatch(/first departure: step 1, data\n {2}step 1 saw another batch/)
    expect(told.out).toMatch(/are not the same\n$/)
    const lines = told.out.split('\n').filter((line) => !line.includes(place))
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(100)
    expect(readFileSync(page, 'utf8')).toContain('not the same')
    const { code, out } = await command(['verify', reference, reference, '--json'])
    expect([code, JSON.parse(out).verdict]).toEqual([0, 'same'])
  })

  test.each([
    [['verify'], 'verify compares runtimes (--on) or two runs, got neither'],
    [['verify', 'a'], 'got 1 run'],
    [['verify', '--on', 'cpu', 'a', 'b'], 'with --on, verify takes no further argument, got "a"'],
    [['verify', '--on', 'cpux,cpu:y'], 'unknown runtime "cpux", did you mean "cpu"?'],
    [['verify', '--on', 'cpu', '--steps', '0'], '--steps must be a whole number, 1 or more, got "0"'],
    [['verify', '--on', 'cpu', '--run', join(place, 'none.yaml')], 'no such file'],
  ])('the command refuses %j in a line', async (words, message) => {
    const { code, err } = await command(words)
    expect(code).toBe(2)
    expect(err).toContain(message)
  })

  test('a checkpoint that was removed meanwhile, by a run that trains, is left out', async () => {
    const meanwhile = join(place, 'meanwhile')
    cpSync(reference, meanwhile, { recursive: true })
    symlinkSync('nowhere', join(meanwhile, 'checkpoints', 'step-00000001'))
    const { verdict, notes } = await verifyRuns(reference, meanwhile)
    expect(verdict).toBe('same')
    expect(notes).toEqual(['the checkpoint of step 1 was removed meanwhile, and is left out'])
  })

  test('folders that hold no run, and runs that share nothing', async () => {
    await expect(verifyRuns(reference, join(place, 'nowhere'))).rejects.toThrow('there is no such folder')
    await expect(verifyRuns(join(place, 'text'), reference)).rejects.toThrow('holds no run')
    const empty = join(place, 'empty')
    mkdirSync(empty)
    writeFileSync(join(empty, 'events.jsonl'), '')
    await expect(verifyRuns(reference, empty)).rejects.toThrow('the first has steps 1 to 30, the second none')
  })
})

/** Writes zeros over the moments of a checkpoint, and hashes that say that it is whole. */
async function zeroMoments(folder: string): Promise<void> {
  const path = join(folder, 'optimizer.safetensors')
  const { tensors, metadata } = await readSafetensorsHeader(path)
  const zeros = [...tensors].map(([name, { shape }]) => {
    const size = 4 * shape.reduce((count, length) => count * length, 1)
    return {
      name,
      dtype: 'F32' as const,
      shape,
      data: async function* () {
        yield new Uint8Array(size)
      },
    }
  })
  await writeSafetensors(path, zeros, metadata)
  const file = join(folder, 'state.json')
  const { sha256: _, ...state } = JSON.parse(readFileSync(file, 'utf8'))
  state.files['optimizer.safetensors'].sha256 = await hashFile(path)
  writeFileSync(file, stateText(state))
}
