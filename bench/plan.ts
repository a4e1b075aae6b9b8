/**
 * @file Layouts that the planner predicts a CPU-second, beside Calculon and SimuMax: each on what it can plan, in turn.
 *
 *     REGAUGE_PLANNER_PYTHON=venv/bin/python REGAUGE_CALCULON=calculon REGAUGE_SIMUMAX=SimuMax npm run bench:plan --
 *         [--rounds 3] [--seconds 20]
 *
 * REGAUGE_PLANNER_PYTHON is a Python with pandas, psutil, numpy, sympy and tabulate; REGAUGE_CALCULON a checkout of
 * calculon-ai/calculon; REGAUGE_SIMUMAX one of MooreThreads/SimuMax. What is not given is skipped, and said to be.
 * CPU-seconds rather than seconds, so that neither cores nor other programs count.
 */

import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { EngineId } from '../src/engines/index.ts'
import type { HfConfig } from '../src/formats/index.ts'
import { spaceOf } from '../src/plan/space.ts'
import { type Contender, interleave, median, printTable } from './children.ts'
import { sampleOf } from './sample.ts'

/** What a script of a peer prints. */
interface Line {
  readonly version: string
  readonly workload: string
  readonly evaluations: number
  readonly cpuSeconds: number
  readonly perCpuSecond: number
  /** Layouts in the whole space that the peer searches, where it can be counted. */
  readonly space?: number
  readonly best?: Best | null
  readonly bestWithoutOffload?: Best | null
  readonly note: string
}

interface Best {
  /** Seconds of a batch, as the peer predicts them. */
  readonly seconds: number
  readonly memoryBytes: number
  readonly layout: Readonly<Record<string, number | boolean | string>>
}

/** What is planned, as the scripts of the peers name it; rows are joined by it. */
type Workload =
  | 'gpt3-175B on 64 a100_80g, batch 1536'
  | 'llama3-8b on 64 a100_pcie, batch 512'
  | 'deepseekv3 on 1024 a100_pcie, batch 8192'
  | 'deepseekv3 on 30000 ascend-910b2, batch 15360'

/** Layouts that we predicted of a workload, and the CPU-seconds that it took. */
interface Figure {
  readonly workload: Workload
  /** Layouts whose step was worked out. */
  readonly layouts: number
  readonly seconds: number
}

interface PlanFigure extends Figure {
  /** The whole space, all of it accounted for: the others are bounded away. */
  readonly space: number
  readonly best: string
}

const OURS = 'regauge'

/** https://huggingface.co/meta-llama/Meta-Llama-3-8B */
const LLAMA_3_8B: HfConfig = {
  model_type: 'llama',
  hidden_size: 4096,
  intermediate_size: 14_336,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  vocab_size: 128_256,
  max_position_embeddings: 8192,
  rms_norm_eps: 1e-5,
  rope_theta: 500_000,
  hidden_act: 'silu',
  tie_word_embeddings: false,
}

// ---- OURS: the planner's figures go in here -------------------------------------------------------------------------
/** What is searched, with a model of `examples/models` or its config.json. */
const SEARCHES: readonly (readonly [
  Workload,
  string | HfConfig,
  string,
  number,
  EngineId,
  number,
  number,
])[] = [
  ['gpt3-175B on 64 a100_80g, batch 1536', 'gpt3-175b', 'a100-80gb-sxm', 64, 'megatron-lm', 2048, 1536],
  ['llama3-8b on 64 a100_pcie, batch 512', LLAMA_3_8B, 'a100-80gb-pcie', 64, 'megatron-lm', 4096, 512],
  [
    'deepseekv3 on 1024 a100_pcie, batch 8192',
    'deepseek-v3',
    'a100-80gb-pcie',
    1024,
    'megatron-lm',
    4096,
    8192,
  ],
  [
    'deepseekv3 on 30000 ascend-910b2, batch 15360',
    'deepseek-v3',
    'ascend-910b2',
    30_000,
    'mindspeed-llm',
    4096,
    15_360,
  ],
]

/** Layouts that are worked out each by itself. */
const SAMPLED = 200_000

/**
 * Plans one workload over the whole space, without reasons, as the first that a process does and compiled as the command is;
 * or works out step and memory of layouts drawn from it, none left out.
 * @param place Of the workload.
 */
async function figureOf(place: number, sampled: boolean): Promise<Figure | PlanFigure> {
  // as it is shipped, without what a loader of TypeScript adds to each function
  const built = (path: string) => import(new URL(`../dist/${path}`, import.meta.url).href)
  const { compileLater }: typeof import('../src/cli/compile-later.ts') = await built('cli/compile-later.js')
  const ours: typeof import('../src/planner.ts') = await built('planner.js')
  const { catalogChips }: typeof import('../src/chips.ts') = await built('chips.js')
  const [workload, model, chip, count, name, sequenceLength, globalBatch] = SEARCHES[place]!
  const config =
    typeof model === 'string'
      ? JSON.parse(readFileSync(`examples/models/${model}/config.json`, 'utf8'))
      : model
  const found = catalogChips().find(({ id }) => id === chip)!
  const machine = ours.machineOf(found, count, 'bf16', { networkBytesPerSecond: 25e9 })
  const engine = ours.ENGINES[name]
  const request = {
    workload: { decoder: ours.readDecoder(config), sequenceLength, globalBatch, precision: 'bf16' },
    machine,
    engine,
    reasons: false,
  } as const
  const timed = <Value>(act: () => Value) => {
    const before = process.cpuUsage()
    const value = act()
    const { user, system } = process.cpuUsage(before)
    return { value, seconds: (user + system) / 1e6 }
  }
  if (sampled) {
    const layouts = sampleOf(spaceOf(request), SAMPLED)
    const simulator = ours.createSimulator(request.workload, machine, engine.behaviour)
    const { value, seconds } = timed(() => {
      let sound = 0
      for (const layout of layouts)
        if (simulator.seconds(layout) > 0 && simulator.memory.peak(layout) > 0) sound++
      return sound
    })
    return { workload, layouts: value, seconds }
  }
  compileLater()
  const { value, seconds } = timed(() => ours.planLayouts(request))
  const [first] = value.best
  return {
    workload,
    layouts: value.evaluated,
    space: value.considered,
    seconds,
    best:
      first === undefined
        ? 'none that fits'
        : `${first.seconds.toFixed(1)} s, ${(first.peakBytes / 2 ** 30).toFixed(1)} GiB, ${first.chips} chips, ${JSON.stringify(first.layout)}`,
  }
}
// ---------------------------------------------------------------------------------------------------------------------

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '20' },
    // the place of a workload, to plan alone
    ours: { type: 'string' },
    sampled: { type: 'boolean', default: false },
  },
})
if (values.ours !== undefined)
  console.log(JSON.stringify(await figureOf(Number(values.ours), values.sampled)))
else await compare(Number(values.rounds), values.seconds)

/** Runs ourselves and the peers in turn, each in a process of its own, and prints the rates and the best layouts. */
async function compare(rounds: number, seconds: string): Promise<void> {
  const python = process.env.REGAUGE_PLANNER_PYTHON
  const peer = (
    name: string,
    variable: string,
    script: string,
    flags: readonly string[],
    once = false,
  ): Contender => {
    const unset = [
      ...(python === undefined ? ['REGAUGE_PLANNER_PYTHON'] : []),
      ...(process.env[variable] === undefined ? [variable] : []),
    ]
    return {
      name,
      command: [python ?? 'python3', `bench/peers/${script}`, ...flags],
      once,
      ...(unset.length > 0 ? { missing: `set ${unset.join(' and ')}` } : {}),
    }
  }
  const calculon = (name: string, flags: readonly string[], once = false) =>
    peer(name, 'REGAUGE_CALCULON', 'calculon.py', [...flags, '--seconds', seconds], once)
  const simumax = (name: string, workload: string, once = false) =>
    peer(name, 'REGAUGE_SIMUMAX', 'simumax.py', ['--workload', workload], once)

  const BEST = 'Calculon, best of a random sample'
  const results = await interleave<Line | Figure | PlanFigure>(
    [
      ...SEARCHES.flatMap(([workload], place) => {
        const command = ['node', '--import', 'tsx', 'bench/plan.ts', '--ours', String(place)]
        return [
          { name: `${OURS}, ${workload}`, command },
          { name: `${OURS}, a sample of ${workload}`, command: [...command, '--sampled'] },
        ]
      }),
      calculon('Calculon', ['rate', '--logger', 'shipped']),
      calculon('Calculon, logger at WARNING', ['rate', '--logger', 'warning']),
      simumax('SimuMax', 'llama3-8b'),
      simumax('SimuMax, experts', 'deepseekv3', true),
      calculon(BEST, ['best', '--logger', 'warning'], true),
    ],
    rounds,
  )
  const own = [...results.values()]
    .flat()
    .filter((output): output is Figure | PlanFigure => 'layouts' in output)
  const figures = own.filter((figure) => 'space' in figure)
  const samples = own.filter((figure) => !('space' in figure))
  const peers = new Map<string, readonly Line[]>()
  for (const [name, outputs] of results) {
    const lines = outputs.filter((output) => 'version' in output)
    if (lines.length > 0) peers.set(name, lines)
  }
  if (figures.length === 0) console.log('regauge: no figures yet')
  if (peers.size === 0) {
    console.log('No peer ran: set REGAUGE_PLANNER_PYTHON with REGAUGE_CALCULON, REGAUGE_SIMUMAX or both')
  }

  const ourRate = (workload: string): number | undefined => {
    const own = samples.filter((figure) => figure.workload === workload)
    return own.length === 0 ? undefined : median(own.map((figure) => figure.layouts / figure.seconds))
  }
  const best = peers.get(BEST)
  peers.delete(BEST)
  const ourRows = [...new Set(samples.map((figure) => figure.workload))].map((workload) => {
    const own = samples.filter((figure) => figure.workload === workload)
    return [
      OURS,
      workload,
      median(own.map((figure) => figure.layouts)).toFixed(0),
      median(own.map((figure) => figure.seconds)).toFixed(2),
      ourRate(workload)!.toFixed(0),
      '',
    ]
  })
  const peerRows = [...peers].map(([name, lines]) => {
    const { workload } = lines[0]!
    const rate = median(lines.map((line) => line.perCpuSecond))
    const own = ourRate(workload)
    return [
      name,
      workload,
      median(lines.map((line) => line.evaluations)).toFixed(0),
      median(lines.map((line) => line.cpuSeconds)).toFixed(2),
      rate.toFixed(1),
      own === undefined ? '-' : `${(own / rate).toFixed(0)} x`,
    ]
  })
  const rows = [...ourRows, ...peerRows]
  if (rows.length > 0) {
    console.log(
      `\nlayouts drawn from a space and each worked out by itself; medians over rounds in turn, of ${rounds}`,
    )
    printTable(['', 'workload', 'layouts', 'CPU s', 'a CPU-second', 'ours/it'], rows)
  }
  console.log('')
  for (const { workload, space, layouts, best } of figures.filter(
    (figure, i) => figures.findIndex(({ workload }) => workload === figure.workload) === i,
  )) {
    const seconds = median(figures.flatMap((figure) => (figure.workload === workload ? figure.seconds : [])))
    const rate = Math.round(space / seconds).toLocaleString('en')
    console.log(
      `${OURS}: ${workload}: a whole space of ${space.toLocaleString('en')} layouts planned in ${seconds.toFixed(2)} CPU-seconds, ${rate} a CPU-second, ${layouts.toLocaleString('en')} of them worked out\n  ${best}`,
    )
  }
  for (const [name, lines] of peers) {
    const { space, version, note } = lines[0]!
    const hours = (space ?? 0) / median(lines.map((line) => line.perCpuSecond)) / 3600
    const whole =
      space === undefined
        ? []
        : [`its whole space of ${space.toLocaleString('en')} would take ${hours.toFixed(1)} CPU-hours`]
    console.log([`${name}: ${version}`, note, ...whole].join('; '))
  }
  for (const { workload, evaluations, cpuSeconds, ...found } of best ?? []) {
    console.log(`\n${BEST}: ${workload}, ${evaluations} layouts in ${cpuSeconds.toFixed(0)} CPU-seconds`)
    for (const [kind, one] of [
      ['best of all', found.best],
      ['best without offload', found.bestWithoutOffload],
    ] as const) {
      const answer = one
        ? `${one.seconds.toFixed(1)} s, ${(one.memoryBytes / 2 ** 30).toFixed(1)} GiB, ${JSON.stringify(one.layout)}`
        : 'none that fits'
      console.log(`${kind}: ${answer}`)
    }
  }
}
