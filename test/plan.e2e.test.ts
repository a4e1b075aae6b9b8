/** @file The built `regauge simulate` and `regauge plan`, on models that were published: text, JSON, page, trace, errors. */
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { tablesCut } from './page-overflow.ts'
import { openWorkplace, TIMEOUT } from './workplace.ts'

const { at, regauge, here, within } = openWorkplace()
const MODELS = join(import.meta.dirname, '../examples/models')
const GOLDEN = join(import.meta.dirname, 'golden/simulate.txt')

const simulate = (model: string, on: string, layout: string, ...more: string[]) =>
  here('simulate', '--model', join(MODELS, model), '--on', on, '--layout', layout, ...more)
const SIZES = ['--seq', '8192', '--batch', '2048']
const widest = (text: string): number => Math.max(...text.split('\n').map((line) => [...line].length))

interface Printed {
  readonly fits: boolean
  readonly overBytes: number
  readonly seconds: number
  readonly terms: Readonly<Record<string, number>>
  readonly band: { readonly low: number; readonly high: number; readonly grade: string }
  readonly memory: readonly { readonly peak: number; readonly terms: Readonly<Record<string, number>> }[]
  readonly constants: readonly { readonly meaning: string; readonly from: string }[]
  readonly machine: {
    readonly links: readonly { readonly size: number | null; readonly bytesPerSecond: number }[]
  }
  readonly engine: string
  readonly notes: readonly string[]
}

/** What its source leaves open of the links of a chip, and what was taken. */
const LINKS_OF_910B2 =
  'link of Ascend 910B2: 392 GB/s, direction unstated by its source, taken as the sum of both ways: 196 GB/s each way'

describe('simulate', { timeout: TIMEOUT }, () => {
  test('prints a layout in 80 columns, as it did before', async () => {
    const { code, out, err } = await regauge(
      ...['simulate', '--model', join(MODELS, 'llama-3.1-405b'), '--on', 'ascend-910b2:4096'],
      ...['--layout', 'tp8 pp16 recompute=full stages=7,8x14,7', '--seq', '8192', '--batch', '16M-tokens'],
    )
    expect([code, err]).toEqual([
      0,
      `${LINKS_OF_910B2}\n--batch: 16M tokens are taken as 16777216: 2048 sequences of 8192\n`,
    ])
    expect(widest(out)).toBeLessThanOrEqual(80)
    // what is fitted may be fitted anew: of its numbers, only the shape is compared
    const [facts, ...rest] = out.split(/\n(?=step )/)
    const [times, memory, constants] = rest.join('').split(/\n\n(?=memory|constants)/)
    const shape = times!
      .replaceAll(/\d[\d.]*/g, '#')
      .replaceAll(/█+/g, '')
      .replaceAll(/ +/g, ' ')
      .replaceAll(/ $/gm, '')
    const counts = constants!
      .trim()
      .replaceAll(/\s+/g, ' ')
      .replaceAll(/[\w-]+ \d+(?=, |;)/g, 'source #')
      .replaceAll(/\d[\d,]*/g, '#')
    const text = [facts, shape, memory, counts].join('\n\n')
    if (process.env.REGAUGE_UPDATE_GOLDEN) writeFileSync(GOLDEN, `${text}\n`)
    expect(`${text}\n`).toBe(readFileSync(GOLDEN, 'utf8'))
  })

  test('prints JSON whose terms add up', async () => {
    const { code, out, err } = await simulate(
      'deepseek-v3',
      'h800:2048@400Gb/s',
      'pp16 ep64',
      ...SIZES,
      '--json',
    )
    const found = JSON.parse(out) as Printed
    expect([code, err]).toEqual([found.fits ? 0 : 6, expect.stringContaining('is taken as')])
    const sum = (terms: Readonly<Record<string, number>>) => Object.values(terms).reduce((a, b) => a + b, 0)
    expect(sum(found.terms)).toBeCloseTo(found.seconds, 6)
    expect(found.band.low).toBeLessThan(found.seconds)
    expect(found.band.high).toBeGreaterThan(found.seconds)
    expect(found.memory).toHaveLength(16)
    for (const { peak, terms } of found.memory) expect(sum(terms)).toBeCloseTo(peak, 0)
    expect(found.fits).toBe(found.overBytes === 0)
    expect(found.constants.length).toBeGreaterThan(10)
    for (const { meaning } of found.constants) expect(meaning).not.toBe('')
    expect(found.machine.links.at(-1)).toMatchObject({ size: null, bytesPerSecond: 50e9 })
    expect(found.engine).toBe('Megatron-LM')
  })

  test.each(readdirSync(MODELS))('predicts %s on both kinds of chips', async (model) => {
    for (const chip of ['910b2', 'a100@25GB/s']) {
      const [word, network] = chip.split('@')
      const on = `${word}:512${network === undefined ? '' : `@${network}`}`
      const { code, out } = await simulate(model, on, 'tp8 pp2', '--seq', '2048', '--batch', '512')
      // 6 where it does not fit, as a process that runs out of memory
      expect(code).toBe(/^memory +✓ fits/m.test(out) ? 0 : 6)
      expect(out).toMatch(/^step +[\d.,]+ m?s, predicted$/m)
      expect(out).toMatch(/^memory +✓ fits|^memory +✗ does not fit: .* GiB a chip on stage/m)
    }
  })

  test('writes a page and a trace', async () => {
    const { code, err } = await simulate(
      'gpt3-175b',
      'a100-80gb-sxm:1024@25GB/s',
      'tp8 pp8 vp3',
      '--seq',
      '2048',
      '--batch',
      '1536',
      '--report',
      'page.html',
      '--trace',
      'trace.json',
    )
    expect([code, err]).toEqual([0, 'trace: trace.json\npage: page.html\n'])
    expect(readFileSync(at('page.html'), 'utf8')).toContain('<h1>gpt3-175b on 1,024 ')
    const { traceEvents } = JSON.parse(readFileSync(at('trace.json'), 'utf8')) as {
      traceEvents: { ph: string; pid: number; tid: number; ts: number; dur: number; name: string }[]
    }
    const passes = traceEvents.filter(({ ph }) => ph === 'X')
    expect(passes).toHaveLength(8 * 3 * 96 * 2)
    const ends = new Map<string, number>()
    for (const { pid, tid, ts, dur, name } of passes.sort((a, b) => a.ts - b.ts)) {
      expect(name).toMatch(/^[FB]\d+$/)
      expect(ts).toBeGreaterThanOrEqual((ends.get(`${pid} ${tid}`) ?? 0) - 1e-3)
      ends.set(`${pid} ${tid}`, ts + dur)
    }
    expect(ends.size).toBe(8)
  })

  test('says what it takes for granted of links, in scripts and on pages too, and only where it does', async () => {
    const folder = await simulate('llama-3-70b', '910b2:64', 'tp8', ...SIZES, '--report', 'links.html')
    expect(folder.err).toContain(LINKS_OF_910B2)
    expect(readFileSync(at('links.html'), 'utf8')).toContain(`<li>${LINKS_OF_910B2}</li>`)
    const printed = async (on: string) =>
      JSON.parse((await simulate('llama-3-70b', on, 'tp8', ...SIZES, '--json')).out) as Printed
    const { notes, machine } = await printed('910b2:64')
    expect(notes).toContain(LINKS_OF_910B2)
    expect(machine.links[0]).toMatchObject({ bytesPerSecond: 196e9, direction: 'unstated' })
    const stated = await printed('h100-sxm:64@50GB/s')
    expect(stated.notes.join()).not.toContain('link of')
    expect(stated.machine.links[0]).toMatchObject({ bytesPerSecond: 450e9, direction: 'bidirectional' })
    const { err } = await here(
      ...['plan', '--model', join(MODELS, 'llama-3-70b'), '--on', '910b2:64', '--on', '910b2:32'],
      ...[...SIZES, '--tokens', '1T', '--top', '1'],
    )
    expect(err.split(LINKS_OF_910B2)).toHaveLength(2)
  })

  test('takes chips of the user', async () => {
    const chips =
      'chips:\n- id: zeta-1\n  name: Zeta 1\n  vendor: Zeta\n  peak: {bf16: 500e12}\n  memory: {bytes: 128e9, bytesPerSecond: 3e12}\n  scaleUp: {bytesPerSecond: 400e9, direction: each way, domainSize: 8}\n'
    writeFileSync(at('ours.yaml'), chips)
    const { code, out } = await simulate(
      'llama-3-70b',
      'zeta-1:512@50GB/s',
      'tp1',
      ...SIZES,
      '--chips',
      'ours.yaml',
    )
    // activations of all layers are what does not fit
    expect([code, out]).toEqual([6, expect.stringMatching(/✗ does not fit/)])
    expect(out).toContain('512 Zeta 1, 128 GB each, PyTorch FSDP2')
    expect(out).toContain('layout      tp1 pp1 dp512 mb1 zero3\n')
  })

  test('tells every mistake at once, each with what would do', async () => {
    expect((await here('simulate')).err.match(/^error {2}simulate needs --/gm)).toHaveLength(5)
    const { code, out, err } = await simulate(
      'nope',
      'h21:5',
      'tp8 tp4 xp3',
      '--seq',
      '8192',
      '--batch',
      'many',
    )
    expect([code, out]).toEqual([2, ''])
    expect(err.replaceAll(MODELS, 'models')).toBe(
      [
        'error  --on: no chip "h21": did you mean h20-141gb?',
        'error  --layout: the layout has tp twice: tp8 and tp4: give one of them',
        'error  --layout: unknown key "xp3" in the layout: did you mean tp?',
        'error  --batch: "many" is not a batch: give sequences as 2048, or tokens as 16M-tokens',
        'models/nope  no such file or folder, and no model of this name ships: give the folder of a model or its config.json, ' +
          `or one of ${readdirSync(MODELS).join(', ')}`,
        '5 problems. Nothing was started.',
        '',
      ].join('\n'),
    )
  })

  const one = async (on: string, layout: string, ...more: string[]): Promise<string> => {
    const { code, out, err } = await simulate('llama-3-70b', on, layout, ...SIZES, ...more)
    expect([code, out]).toEqual([2, ''])
    return err
      .split('\n')
      .filter((line) => line.startsWith('error'))
      .join('\n')
  }

  test.each([
    [
      '910b2:0',
      'tp8',
      'error  --on: "0" chips of 910b2: give a whole number from 1 to 10000000, for instance 910b2:4096 or 910b2:30K',
    ],
    ['910b2:-8', 'tp8', 'error  --on: "-8" chips of 910b2'],
    ['910b2:NaN', 'tp8', 'error  --on: "NaN" chips of 910b2'],
    [':1e30', 'tp8', 'error  --on: ":1e30" names no chip'],
    [
      'h20-96gb:8192',
      'tp8',
      'error  --on: nobody published the network bandwidth of h20-96gb: it depends on the servers: give it as h20-96gb:8192@50GB/s',
    ],
    [
      'h20-96gb:8192@50',
      'tp8',
      'error  --on: "50" is not a bandwidth: give bytes as 50GB/s or bits as 400Gb/s',
    ],
    [
      '910b2:4096',
      'tp8 pp3',
      'error  --layout: 4096 chips do not divide by tensor 8 x context 1 x pipeline 3',
    ],
    [
      '910b2:4096',
      'tp8 dp3',
      'error  --layout: tensor 8 x context 1 x pipeline 1 x data 3 is 24 chips, not 4096',
    ],
    [
      '910b2:4096',
      'tp8 pp2 mb3',
      'error  --layout: a batch of 2048 sequences does not divide into micro-batches of 3',
    ],
    [
      '910b2:4096',
      'tp8 pp2 recompute=full:41',
      'error  --layout: 41 layers to recompute are more than the 40 of the largest stage; without a number, all are',
    ],
    ['910b2:4096', 'tp8 pp2 stages=70,9', 'error  --layout: stages of 70+9 layers are 79, not 80'],
  ])('%s, %s is one error', async (on, layout, message) => {
    const told = await one(on, layout)
    expect(told).toContain(message)
  })

  test('refuses what needs a figure that nobody published, and names each', async () => {
    expect((await one('ascend-910d:8@50GB/s', 'tp8')).split('\n').length).toBeGreaterThan(1)
    expect(await one('910b2:4096', 'tp8', '--precision', 'fp8')).toBe(
      'error  --on: nobody published the rate in fp8 of ascend-910b2: use bf16',
    )
  })

  test('refuses models that are none', async () => {
    mkdirSync(at('empty'))
    writeFileSync(
      at('huge.json'),
      JSON.stringify({
        model_type: 'llama',
        hidden_size: 2 ** 26,
        intermediate_size: 2 ** 26,
        num_hidden_layers: 2 ** 14,
        num_attention_heads: 1,
        vocab_size: 2 ** 26,
      }),
    )
    const rest = [...SIZES, '--on', '910b2:8', '--layout', 'tp8']
    expect((await here('simulate', '--model', 'empty', ...rest)).err).toBe(
      'empty  the folder has no config.json: give the folder of a Hugging Face model, or a config.json\n',
    )
    expect((await here('simulate', '--model', 'huge.json', ...rest)).err).toMatch(
      /^huge\.json {2}\d+ parameters are more than 2\^53\n$/,
    )
    symlinkSync('circle', at('circle'))
    const long = 'a'.repeat(300)
    for (const [model, code] of [
      ['circle', 'ELOOP'],
      [long, 'ENAMETOOLONG'],
    ] as const)
      expect((await here('simulate', '--model', model, ...rest)).err).toBe(
        `${model}  cannot be read (${code}): give the folder of a model or its config.json\n`,
      )
  })

  test('writes nothing half, and prints nothing, where a place refuses', async () => {
    const { code, out, err } = await simulate(
      'llama-3-70b',
      '910b2:512',
      'tp8',
      ...SIZES,
      '--report',
      'no/page.html',
    )
    expect([code, out, err]).toEqual([
      3,
      '',
      'no/page.html  cannot be written (ENOENT): choose another place for the page\n',
    ])
    expect(existsSync(at('no'))).toBe(false)
    const folder = await simulate('llama-3-70b', '910b2:512', 'tp8', ...SIZES, '--trace', 'text', '--json')
    expect(folder.code).toBe(3)
    expect(JSON.parse(folder.out)).toMatchObject({
      error: { exit: 3, issues: [{ code: 'REPORT_UNWRITABLE' }] },
    })
    expect(readdirSync(at()).filter((name) => name.endsWith('.tmp'))).toEqual([])
  })

  const both = (page: string, trace: string, ...more: string[]) =>
    regauge(
      ...['simulate', '--model', join(MODELS, 'llama-3-70b'), '--on', '910b2:512', '--layout', 'tp8 pp4'],
      ...[...SIZES, '--report', page, '--trace', trace, '--json', ...more],
    )

  test('writes over its own files alone', async () => {
    expect((await both('own.html', 'own.json')).code).toBe(0)
    expect((await both('own.html', 'own.json')).code).toBe(0)
    const before = readFileSync(at('own.json'), 'utf8')
    writeFileSync(at('theirs.html'), '<!doctype html><p>mine</p>')
    const { code, out } = await both('theirs.html', 'own.json')
    expect(code).toBe(2)
    expect((JSON.parse(out) as { error: { issues: unknown } }).error.issues).toEqual([
      {
        code: 'REPORT_IN_THE_WAY',
        file: 'theirs.html',
        message: 'is there and regauge did not write it',
        hint: 'choose another place for the page, or remove the file',
      },
    ])
    expect(readFileSync(at('theirs.html'), 'utf8')).toBe('<!doctype html><p>mine</p>')
    expect(readFileSync(at('own.json'), 'utf8')).toBe(before)
  })

  test('gives each file a place of its own, before anything is searched', async () => {
    mkdirSync(at('model'))
    const config = readFileSync(join(MODELS, 'llama-3-70b/config.json'))
    writeFileSync(at('model/config.json'), config)
    symlinkSync('model', at('alias'))
    const simulated = await here(
      ...['simulate', '--model', 'model', '--on', '910b2:512', '--layout', 'tp8', ...SIZES],
      ...['--report', 'model/config.json', '--trace', 'alias/config.json'],
    )
    expect([simulated.code, simulated.err.split('\n').slice(0, 2)]).toEqual([
      2,
      [
        'error  --report: model/config.json is that of --model too: choose another place for the page',
        'error  --trace: alias/config.json is that of --model too: choose another place for the trace',
      ],
    ])
    expect((await both('one', './one')).code).toBe(2)
    const planned = await here(
      ...['plan', '--model', 'model', ...SIZES, '--tokens', '1T', '--on', '910b2:100K'],
      ...['--report', 'model/config.json'],
    )
    expect([planned.code, planned.out]).toEqual([2, ''])
    expect(readFileSync(at('model/config.json'))).toEqual(config)
    expect(existsSync(at('one'))).toBe(false)
  })

  test.runIf(process.platform === 'linux')(
    'writes none of two files where the disk has no room',
    async () => {
      const words = (trace: string) => [
        ...['simulate', '--model', join(MODELS, 'llama-3-70b'), '--on', '910b2:512', '--layout', 'tp8 pp4'],
        ...[...SIZES, '--report', 'full.html', '--trace', trace],
      ]
      // the page has room, the trace has not
      const limited = await within('ulimit -f 100; exec "$0" "$@"', ...words('full.json'))
      expect(limited).toEqual({
        code: 3,
        out: '',
        err: 'full.json  cannot be written (EFBIG): choose another place for the trace\n',
      })
      expect((await regauge(...words('/dev/full'))).err).toBe(
        '/dev/full  cannot be written (ENOSPC): choose another place for the trace\n',
      )
      expect(readdirSync(at()).filter((name) => /^full|tmp$/.test(name))).toEqual([])
      // what cannot be printed is told where it can be
      const printed = await within('exec "$0" "$@" --json > /dev/full', ...words('whole.json'))
      expect([printed.code, printed.err]).toEqual([3, expect.stringContaining('ENOSPC')])
    },
  )

  test('may be run twice at once for one place', async () => {
    const four = await Promise.all(Array.from({ length: 4 }, () => both('once.html', 'once.json')))
    expect(four.map(({ code }) => code)).toEqual([0, 0, 0, 0])
    expect(readFileSync(at('once.html'), 'utf8')).toMatch(/<\/html>\n$/)
    JSON.parse(readFileSync(at('once.json'), 'utf8'))
  })
})

const plan = (model: string, ...more: string[]) =>
  here('plan', '--model', join(MODELS, model), '--seq', '4096', ...more)

interface PlanPrinted {
  readonly pools: readonly {
    readonly best: readonly {
      readonly text: string
      readonly chips: number
      readonly seconds: number
      readonly peakBytes: number
      readonly memoryBytes: number
      readonly cost: { readonly days: number; readonly energy: number; readonly money: number | null }
    }[]
    readonly frontier: readonly { readonly chips: number; readonly days: number }[]
    readonly explained?: { readonly violations: readonly string[]; readonly ratio?: number }
  }[]
}

describe('plan', { timeout: TIMEOUT }, () => {
  const small = ['--batch', '64', '--tokens', '1T', '--on', '910b2:64']

  test('prints the best layouts, which fit and can be simulated', async () => {
    const { code, out } = await regauge(
      ...['plan', '--model', join(MODELS, 'llama-3-70b'), '--seq', '4096', ...small],
      ...['--top', '3', '--price', '2.5/h', '--json'],
    )
    expect(code).toBe(0)
    const { best } = (JSON.parse(out) as PlanPrinted).pools[0]!
    expect(best).toHaveLength(3)
    for (const { text, seconds, peakBytes, memoryBytes, cost } of best) {
      expect(peakBytes).toBeLessThanOrEqual(memoryBytes)
      expect(seconds).toBeGreaterThanOrEqual(best[0]!.seconds)
      expect(cost.money).toBeCloseTo(cost.days * 24 * 64 * 2.5, -2)
      const again = await simulate(
        'llama-3-70b',
        '910b2:64',
        text,
        '--seq',
        '4096',
        '--batch',
        '64',
        '--json',
      )
      expect((JSON.parse(again.out) as Printed).seconds).toBeCloseTo(seconds, 6)
    }
  })

  test('prints a table in 80 columns, days against chips, and why a layout is not the best', async () => {
    const explain = ['--explain', 'tp8 pp2 recompute=full']
    const { code, out, err } = await plan(
      'llama-3-70b',
      ...small,
      '--sweep',
      'chips',
      ...explain,
      '--report',
      'plan.html',
    )
    expect(code).toBe(0)
    expect(widest(out)).toBeLessThanOrEqual(80)
    expect(out).toMatch(/^# +step +band +MFU +days +GiB +energy +most besides computing$/m)
    expect(out).toMatch(/^tp8 pp2 dp4 mb1 zero1 recompute=full, on 64 chips$/m)
    expect(out).toMatch(/ s a step, [\d.]+ % more than the best that fits,/)
    expect(out).toMatch(/^chips +days +band( +layout)?$/m)
    expect(err).toContain('page: plan.html')
    const page = readFileSync(at('plan.html'), 'utf8')
    for (const text of [
      'The best layouts',
      'Memory of the best',
      'Days against chips',
      'A layout that was asked about',
    ])
      expect(page).toContain(text)
    expect(page).not.toMatch(/NaN|undefined/)
  })

  test('puts pools beside each other', async () => {
    const { code, out } = await plan('llama-3-70b', ...small, '--on', 'h20-96gb:32@50GB/s', '--top', '1')
    expect(code).toBe(0)
    expect(out).toMatch(/^each alone +step +MFU +days +energy$/m)
    expect(out).toMatch(/^✓ .* alone is the fastest$/m)
    expect(out).toContain('give --link 200GB/s')
  })

  const both = [...small, '--on', 'h20-96gb:32@50GB/s', '--top', '1', '--link', '1600Gb/s']

  test('plans the run on two pools that are joined', async () => {
    const { code, out } = await plan('llama-3-70b', ...both, '--report', 'both.html')
    expect(code).toBe(0)
    expect(widest(out)).toBeLessThanOrEqual(80)
    expect(out).toContain('pools joined by 200 GB/s out of each, each way, 1.00 ms a message')
    expect(out).toMatch(/^# +way +step +days +crossing$/m)
    expect(out).toMatch(/^✓ (one pipeline over both|replicas on both|one pool alone)/m)
    expect(out).not.toContain('give --link')
    const page = readFileSync(at('both.html'), 'utf8')
    for (const text of ['Pools together', 'A step of each way', '<b>Best:</b>']) expect(page).toContain(text)
    for (const text of [page, out.replaceAll(/\s+/g, ' ')]) {
      expect(text).toContain('Crossing is the time of all that goes between pools in a step')
    }
    expect(tablesCut(at('both.html')) ?? []).toEqual([])
    expect(page).not.toMatch(/NaN|undefined/)

    const { together } = JSON.parse((await plan('llama-3-70b', ...both, '--json')).out) as {
      together: {
        link: { bytesPerSecond: number }
        plans: {
          way: string
          seconds: number
          parts: { text: string; chips: number; batch: number; layers: number }[]
        }[]
      }
    }
    expect(together.link.bytesPerSecond).toBe(200e9)
    const ways = together.plans.map(({ way }) => way)
    expect(new Set(ways)).toEqual(new Set(['alone', 'replicas', 'pipeline']))
    for (const [i, { way, seconds, parts }] of together.plans.entries()) {
      expect(seconds).toBeGreaterThanOrEqual(together.plans[Math.max(0, i - 1)]!.seconds)
      const sum = (of: 'batch' | 'layers') => parts.reduce((total, part) => total + part[of], 0)
      if (way === 'replicas') expect(sum('batch')).toBe(64)
      if (way === 'pipeline') expect(sum('layers')).toBe(80)
      for (const { text } of parts) expect(text).toMatch(/^tp\d+ /)
    }
  })

  test('joins pools for the least time alone', async () => {
    const { code, err } = await plan('llama-3-70b', ...both, '--link', '3', '--objective', 'energy')
    expect(code).toBe(2)
    expect(err).toContain('error  --link: ')
  })

  test('finds the fewest chips that end the run in some days', async () => {
    const fewest = async (days: string) => {
      const { out } = await plan(
        'llama-3-70b',
        ...small,
        '-o',
        'chips',
        '--days',
        days,
        '--top',
        '1',
        '--json',
      )
      return (JSON.parse(out) as PlanPrinted).pools[0]!.best[0]
    }
    const [slow, fast] = [await fewest('900'), await fewest('600')]
    expect(slow!.cost.days).toBeLessThanOrEqual(900)
    expect(fast!.cost.days).toBeLessThanOrEqual(600)
    expect(slow!.chips).toBeLessThan(fast!.chips)
    expect(await fewest('3')).toBeUndefined()
  })

  test('says that nothing is fast enough', async () => {
    const { code, out } = await plan('llama-3-70b', ...small, '--days', '3', '--report', 'slow.html')
    expect(code).toBe(0)
    expect(out).toContain('✗ no layout is fast enough\n  · the fastest that fits, tp')
    expect(out).not.toContain('would hold it')
    expect(readFileSync(at('slow.html'), 'utf8')).toContain('No layout is fast enough.')
  })

  test('says that nothing fits', async () => {
    const { code, out } = await plan('llama-3.1-405b', '--batch', '64', '--tokens', '1T', '--on', '910b2:2')
    expect(code).toBe(6)
    expect(out).toContain('✗ no layout fits')
    const printed = await plan(
      ...['llama-3.1-405b', '--batch', '64', '--tokens', '1T', '--on', '910b2:2', '--json'],
    )
    expect(printed.code).toBe(6)
    expect(JSON.parse(printed.out)).toMatchObject({ fits: false, pools: [{ fits: false, best: [] }] })
  })

  test('tells every mistake at once', async () => {
    const { code, out, err } = await plan(
      'llama-3-70b',
      ...['--batch', '64', '--tokens', 'lots', '--on', '910b2:64', '--on', 'h20:0', '--days', '0'],
      ...['--price', '2/h', '--objective', 'money', '--explain', 'tp8 qq3'],
    )
    expect([code, out]).toEqual([2, ''])
    expect(err.split('\n').slice(0, -2)).toEqual([
      'error  --tokens: "lots" is not a number of tokens: for instance 10T, 500B or 3e11',
      'error  --days: no run takes 0 days: give more, or leave it out',
      'error  --price: "2/h" does not say of which chip: there are 2 pools: give it as 910b2=2.5/h',
      'error  --explain: unknown key "qq3" in the layout: keys are tp, cp, pp, vp, dp, ep, etp, mb, zero, shards, sp, ring, offload, schedule, recompute, stages',
      'error  --on: "0" chips of h20: give a whole number from 1 to 10000000, for instance h20:4096 or h20:30K',
      'error  --objective: money needs a price of ascend-910b2: give --price ascend-910b2=2.5/h',
    ])
    const deep = JSON.parse(readFileSync(join(MODELS, 'llama-3-70b/config.json'), 'utf8')) as object
    writeFileSync(at('deep.json'), JSON.stringify({ ...deep, num_hidden_layers: 513 }))
    const large = await here(
      ...['plan', '--model', 'deep.json', '--seq', '16777217', '--batch', '64', '--tokens', '1e18'],
      ...['--on', '910b2:64', '--days', '1e300', '--top', '100000', '--link', '50GB/s'],
      ...[
        '--price',
        '910b2=2/h',
        '--price',
        '910b2=3/h',
        '--price',
        'h20-96gb=2/h',
        '--explain',
        'tp99999999999',
      ],
    )
    expect([large.code, large.out]).toEqual([2, ''])
    expect(large.err.split('\n').slice(0, -2)).toEqual([
      'error  --tokens: "1e18" is more tokens than any run has: give 5000T at most',
      'error  --days: 1e+300 days are more than a century: give 36500 at most, or leave it out',
      'error  --top: a list of 100000 layouts: give 1000 at most',
      'error  --price: "910b2=3/h" is a second price of ascend-910b2: give one of them',
      'error  --explain: tp (tensor parallelism) must be a whole number from 1 to 100000000, got "tp99999999999": for instance tp8',
      'error  --link: one pool has none to be joined with: give another --on, or leave it out',
      'error  --price: no pool has h20-96gb: leave it out, or give it for a chip of --on',
      'error  --seq: a sequence of 16777217 tokens: give 16777216 at most',
      'error  --model: 513 layers are more than can be searched: 512 can; regauge simulate takes more',
    ])
    expect((await plan('llama-3-70b', '--batch', '1', '--tokens', '1')).err).toMatch(
      /^error {2}plan needs --on <chips>/,
    )
  })
})

describe('help', { timeout: 2 * TIMEOUT }, () => {
  test.each(['plan', 'simulate'])('of %s has examples that run', async (command) => {
    const { out } = await regauge(command, '--help')
    const examples = [...out.matchAll(new RegExp(`^  regauge (${command} .*)$`, 'gm'))].map(
      ([, line]) => line!,
    )
    expect(examples.length).toBeGreaterThan(1)
    for (const line of examples) {
      const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!)
      const { code, err } = await here(...words.map((word) => word.replace(/^examples\/models/, MODELS)))
      expect([line, code, err.match(/^error.*/m)]).toEqual([line, 0, null])
    }
  })
})
