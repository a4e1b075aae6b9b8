/** @file `regauge chips`: list, show, compare, chips of the user, and what it refuses. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { beforeAll, describe, expect, test } from 'vitest'
import { openWorkplace, TIMEOUT } from './workplace.ts'

const { at, regauge, here } = openWorkplace()

beforeAll(() => {
  mkdirSync(at('llama'))
  const config = {
    model_type: 'llama',
    vocab_size: 128_256,
    hidden_size: 4096,
    intermediate_size: 14_336,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    max_position_embeddings: 8192,
  }
  writeFileSync(at('llama/config.json'), JSON.stringify(config))
  writeFileSync(
    at('ours.yaml'),
    'chips:\n- id: zeta-1\n  name: Zeta 1\n  vendor: Zeta\n  memory: {bytes: 200e9}\n- id: ascend-910b1\n  power: {watts: 395}\n',
  )
})

const widest = (text: string): number => Math.max(...text.split('\n').map((line) => [...line].length))

describe('chips', { timeout: TIMEOUT }, () => {
  test('lists the catalog in 80 columns, unknown where nobody published', async () => {
    const { code, out } = await regauge('chips')
    expect(code).toBe(0)
    expect(out.match(/^ {2}[a-z0-9]/gm)).toHaveLength(55)
    expect(out).toMatch(/^ {2}ascend-910b2 +shipping +376 +64 +1\.6 +400 +cann$/m)
    expect(out).toMatch(/^ {2}ascend-910d +reported +unknown +unknown +unknown +unknown +cann$/m)
    expect(widest(out)).toBeLessThanOrEqual(80)
  })

  test('filters by vendor, runtime, status and memory', async () => {
    const ids = async (...words: string[]): Promise<string[]> => {
      const { out } = await here('chips', ...words, '--json')
      return (JSON.parse(out) as { id: string }[]).map(({ id }) => id)
    }
    expect(await ids('--vendor', 'cambricon')).toEqual(['mlu370-x8', 'mlu590'])
    expect(await ids('--runtime', 'cann', '--status', 'shipping', '--min-memory', '128')).toEqual([
      'ascend-910c',
      'ascend-910c-626',
      'ascend-950pr',
    ])
    expect(await ids('--runtime', 'webgpu')).toEqual([])
    expect((await here('chips', '--runtime', 'webgpu')).err).toBe(
      'no chip is like that; regauge chips lists all\n',
    )
  })

  test('shows one with rules, disagreements and sources', async () => {
    const { code, out, err } = await here('chips', 'show', 'Ascend 910-B3', '--date', '2026-06-01')
    expect([code, err]).toEqual([0, ''])
    for (const line of [
      '  matmul only     294.9 TFLOP/s of bf16 and fp16',
      '  TPP             5,008',
      '  class           3A090.a.1 (88 FR 73458)',
      'not legal advice',
      'Sources disagree',
      'measured]',
    ])
      expect(out).toContain(line)
    const json = JSON.parse(
      (await here('chips', 'show', 'h20', '--date', '2022-12-01', '--json')).out,
    ) as object
    expect(json).toMatchObject({
      id: 'h20-96gb',
      exportFindings: { tpp: { value: 2368 }, test2022: { value: false } },
    })
    expect(json).not.toHaveProperty('exportFindings.class2023')
  })

  test('compares figures, and says which variants it took', async () => {
    const { code, out, err } = await here('chips', 'compare', '910b2', 'a100', 'h20')
    expect(code).toBe(0)
    expect(out).toMatch(/^bandwidth +1\.6 TB\/s +2\.039 TB\/s +4 TB\/s$/m)
    expect(out).toMatch(/^ {2}matmul only +353\.9 TFLOP\/s +as headline +as headline$/m)
    expect(out).toMatch(/^links per FLOP\/s +unknown /m)
    expect(err).toContain('"a100" is taken as A100 80GB SXM4 (a100-80gb-sxm); there are also a100-40gb-pcie')
    expect(widest(out)).toBeLessThanOrEqual(80)
  })

  test('compares them for a model: what fits, and what bounds', async () => {
    const words = ['chips', 'compare', '910b2', 'a100-80gb-sxm', 'h20-96gb', '--model', 'llama']
    const { code, out, err } = await here(...words, '--tokens', '2048')
    expect([code, err]).toEqual([0, ''])
    expect(out).toContain('llama: 8.03G parameters, micro-batch of 2,048 tokens in sequences of 2,048')
    expect(out).toMatch(/^training state +128\.5 GB +3 chips +2 chips +2 chips$/m)
    expect(out).toMatch(/^MLP +69\.3 TFLOP +1250 +compute \S+ ms +compute \S+ ms +compute \S+ ms$/m)
    expect(out).toMatch(/^optimizer update .*memory \S+ ms +memory \S+ ms +memory \S+ ms$/m)
    expect(widest(out)).toBeLessThanOrEqual(100)
    const json = JSON.parse((await here(...words, '--json')).out) as {
      chips: { efficiency: { ridgePoint: number } }[]
      model: { parameters: number; tokens: number; operations: { name: string; bounds: { by: string }[] }[] }
    }
    expect(json.model).toMatchObject({ parameters: 8_030_261_248, tokens: 4096, stateBytes: 128_484_179_968 })
    // between the ridge points of the chips
    const unfused = json.model.operations.find(({ name }) => name === 'attention, unfused')!
    expect(unfused.bounds.map(({ by }) => by)).toEqual(['memory', 'memory', 'compute'])
    expect(json.chips[1]!.efficiency.ridgePoint).toBeCloseTo(153.02, 2)
  })

  test('compares them for any model that can be planned for, and says that it does not train', async () => {
    const { code, out } = await here('chips', 'compare', '910b2', 'h200', '--model', 'deepseek-v3')
    expect(code).toBe(0)
    expect(out).toContain('deepseek-v3: 671G parameters')
    expect(out).toContain('model_type "deepseek_v3" plans, does not train: it has attention through a latent')
    for (const label of ['attention projections', 'MLP', 'router', 'shared experts', 'experts'])
      expect(out).toMatch(new RegExp(`^${label} +\\S+ [TP]FLOP`, 'm'))
  })

  test('has unknown for all that follows from a figure nobody published', async () => {
    const { code, out } = await here('chips', 'compare', '910d', 'mlu590', '--model', 'llama/config.json')
    expect(code).toBe(0)
    for (const label of ['memory', 'power', 'ridge point', 'training state', 'MLP', 'step, fused attention'])
      expect(out).toMatch(new RegExp(`^${label} .*unknown +unknown$`, 'm'))
    expect(out).not.toMatch(/NaN|Infinity|null/)
  })

  test('takes chips of the user, new ones and changes', async () => {
    const { out } = await here('chips', '--chips', 'ours.yaml', '--min-memory', '200')
    expect(out).toMatch(/^ {2}zeta-1 +shipping +unknown +200 +unknown +unknown +none$/m)
    const shown = await here('chips', 'show', '910b1', '--chips', 'ours.yaml')
    expect(shown.out).toContain('  power           395 W')
    expect(shown.out).toContain('given in ours.yaml [power]')
  })
})

describe('chips refuses', { timeout: TIMEOUT }, () => {
  test.each([
    [['chips', 'shw', '910b2'], 'unknown command "chips shw": did you mean "show"?'],
    [['chips', 'show', '910b'], '"910b" may be 6 chips: give one of ascend-910b1'],
    [['chips', 'show', 'gaudy3'], 'did you mean gaudi3'],
    [['chips', 'show'], 'chips show needs <chip>'],
    [['chips', 'show', ''], 'the name of the chip is empty: regauge chips lists them'],
    [['chips', 'show', 'h20', '--date', '2024-02-30'], '--date must be a day such as 2024-06-30'],
    [['chips', '--vendor', 'Intl'], 'did you mean "Intel"?'],
    [['chips', '--status', 'shiping'], 'did you mean "shipping"?'],
    [['chips', 'compare', 'a100'], 'needs two chips or more, got 1'],
    [['chips', 'compare', 'h200', 'b200', '--tokens', '9'], '--tokens is of a model: give --model too'],
    [
      ['chips', 'compare', 'h200', 'b200', '--model', 'none'],
      'none  no such file or folder, and no model of this name ships',
    ],
    [['chips', '--chips', 'none.yaml'], 'none.yaml  no such file'],
  ])('%j', async (words, message) => {
    const { code, out, err } = await here(...words)
    expect([code, out]).toEqual([2, ''])
    expect(err).toContain(message)
    expect(err).not.toContain('bug of regauge')
  })

  test('a file with mistakes, all at once with their places, also as JSON', async () => {
    writeFileSync(at('bad.yaml'), 'chips:\n- id: Zeta\n  peek: {}\n  power: {watts: no}\n')
    const { code, err } = await here('chips', '--chips', 'bad.yaml')
    expect(code).toBe(2)
    expect(err).toContain('bad.yaml:3:3')
    expect(err).toContain('unknown key "peek" in chips[0]: did you mean "peak"?')
    expect(err).toMatch(/5 problems\. Nothing was started\.\n$/)
    const json = JSON.parse((await here('chips', '--chips', 'bad.yaml', '--json')).out) as {
      error: { exit: number; issues: unknown[] }
    }
    expect(json.error.exit).toBe(2)
    expect(json.error.issues).toHaveLength(5)
  })
})
