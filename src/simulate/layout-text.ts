/** @file Layouts as a person writes them: `tp8 pp16 vp2 dp32 mb1 zero1 recompute=selective`, read and written. */
import { type Issue, nearest, RegaugeError } from '../errors.ts'
import { type PipelineSchedule, SCHEDULE_NAMES, usualSchedule } from './schedules/index.ts'
import { type Layout, RECOMPUTES, type Recompute } from './types.ts'

/** Degrees above this are mistakes. */
const MOST = 1e8
const MOST_STAGES = 2 ** 14

/** Keys of whole numbers, with what each is. */
const COUNTS = {
  tp: 'tensor parallelism',
  cp: 'context parallelism',
  pp: 'pipeline parallelism',
  vp: 'chunks a stage',
  dp: 'data parallelism',
  ep: 'expert parallelism',
  etp: 'chips an expert is split over',
  mb: 'sequences of a micro-batch',
  zero: 'ZeRO stage',
  shards: 'chips that shares are spread over',
} as const
type CountKey = keyof typeof COUNTS

/** Keys of words, with the words that each takes. */
const WORDS = {
  sp: ['on', 'off'],
  ring: ['on', 'off'],
  offload: ['on', 'off'],
  schedule: SCHEDULE_NAMES,
} as const
type WordKey = keyof typeof WORDS

/** All keys of a layout, in the order in which they are written. */
export const LAYOUT_KEYS: readonly string[] = [
  ...Object.keys(COUNTS),
  ...Object.keys(WORDS),
  'recompute',
  'stages',
]

/**
 * Reads a layout: keys apart by spaces or commas. They are `tp cp pp vp dp ep etp mb zero shards` with a number (`tp8` or `tp=8`), `sp`, `ring` and
 * `offload` with on or off, `schedule=`, `recompute=none|selective|full` (`full:4` for 4 layers of each stage) and
 * `stages=7,8x14,7` for the layers of each stage. What is left out: 1; `dp` such that all chips are used; `zeroStage`;
 * `sp` on with tensor parallelism; `ring=on`; no recomputation; one forward, one backward, or interleaved with `vp`.
 * Throws a `usage` error with every mistake; whether an engine runs the layout is not asked.
 */
export function parseLayout(text: string, chips: number, zeroStage: Layout['zeroStage'] = 1): Layout {
  const issues: Issue[] = []
  const problem = (message: string, hint?: string): void => {
    issues.push({ code: 'LAYOUT_VALUE', message, ...(hint !== undefined && { hint }) })
  }
  const found = new Map<string, { readonly word: string; readonly value: string }>()
  // a comma parts keys too, but not the layers of stages=7,8x14,7
  for (const whole of text.split(/\s+|,(?=\s*[a-z]{2})/i).filter((one) => one !== '')) {
    const [key, value] = split(whole)
    const word = whole.length > 60 ? `${whole.slice(0, 60)}…` : whole
    if (!LAYOUT_KEYS.includes(key)) {
      // all short keys are near each other: a letter must be the same
      const alike = LAYOUT_KEYS.filter((known) => [...known].some((letter) => key.includes(letter)))
      const near = nearest(key, alike)
      const hint = near === undefined ? `keys are ${LAYOUT_KEYS.join(', ')}` : `did you mean ${near}?`
      issues.push({ code: 'LAYOUT_KEY', message: `unknown key "${word}" in the layout`, hint })
    } else if (found.has(key)) {
      problem(`the layout has ${key} twice: ${found.get(key)!.word} and ${word}`, 'give one of them')
    } else found.set(key, { word, value })
  }

  const count = (key: CountKey): number | undefined => {
    const given = found.get(key)
    if (given === undefined) return undefined
    const [least, most] = key === 'zero' ? [0, 3] : [1, MOST]
    const number = /^\d+$/.test(given.value) ? Number(given.value) : Number.NaN
    if (number >= least && number <= most) return number
    problem(
      `${key} (${COUNTS[key]}) must be a whole number from ${least} to ${most}, got "${given.word}"`,
      `for instance ${key}${key === 'zero' ? 1 : 8}`,
    )
    return undefined
  }
  const word = <K extends WordKey>(key: K): (typeof WORDS)[K][number] | undefined => {
    const given = found.get(key)
    if (given === undefined) return undefined
    const allowed: readonly string[] = WORDS[key]
    // `sp` alone turns it on
    const value = given.value === '' && allowed[0] === 'on' ? 'on' : given.value
    if (allowed.includes(value)) return value as (typeof WORDS)[K][number]
    const near = nearest(value, allowed)
    problem(
      `${key} must be one of ${allowed.join(', ')}, got "${given.word}"`,
      near === undefined ? `for instance ${key}=${allowed[0]}` : `did you mean ${key}=${near}?`,
    )
    return undefined
  }

  const tensorParallel = count('tp') ?? 1
  const contextParallel = count('cp') ?? 1
  const pipelineParallel = count('pp') ?? 1
  const virtualPipeline = count('vp') ?? 1
  const others = tensorParallel * contextParallel * pipelineParallel
  const dataParallel = count('dp') ?? (issues.length > 0 ? 1 : rest())
  const stageLayers = stages()
  const schedule: PipelineSchedule = word('schedule') ?? usualSchedule(virtualPipeline)
  const shardGroup = count('shards')
  const layout: Layout = {
    tensorParallel,
    sequenceParallel: word('sp') === undefined ? tensorParallel > 1 : word('sp') === 'on',
    contextParallel,
    contextMethod: word('ring') === 'off' ? 'all-to-all' : 'ring',
    pipelineParallel,
    virtualPipeline,
    ...(stageLayers !== undefined && { stageLayers }),
    dataParallel,
    expertParallel: count('ep') ?? 1,
    expertTensorParallel: count('etp') ?? 1,
    zeroStage: (count('zero') ?? zeroStage) as Layout['zeroStage'],
    ...(shardGroup !== undefined && { shardGroup }),
    microBatch: count('mb') ?? 1,
    ...recomputed(),
    offloadOptimizer: word('offload') === 'on',
    schedule,
  }
  if (issues.length > 0) throw new RegaugeError('usage', unlike(issues))
  return layout

  function rest(): number {
    if (chips % others === 0 && chips >= others) return chips / others
    problem(
      `${chips} chips do not divide by tensor ${tensorParallel} x context ${contextParallel} x pipeline ${pipelineParallel}, which is ${others}`,
      'change one of them, or the chips',
    )
    return 1
  }

  function stages(): number[] | undefined {
    const given = found.get('stages')
    if (given === undefined) return undefined
    const runs = given.value.split(',').map((part) => {
      const [, size = '0', times = '1'] = /^(\d{1,5})(?:x(\d{1,5}))?$/.exec(part) ?? []
      return { size: Number(size), times: Number(times) }
    })
    const count = runs.reduce((sum, { times }) => sum + times, 0)
    if (runs.some(({ size, times }) => size === 0 || times === 0)) {
      problem(`stages must be the layers of each stage, got "${given.word}"`, 'for instance stages=7,8x14,7')
    } else if (count > MOST_STAGES) {
      problem(`stages are ${count} stages, more than ${MOST_STAGES}`, 'for instance stages=7,8x14,7')
    } else return runs.flatMap(({ size, times }) => Array<number>(times).fill(size))
    return undefined
  }

  function recomputed(): Pick<Layout, 'recompute' | 'recomputeLayers'> {
    const given = found.get('recompute')
    if (given === undefined) return { recompute: 'none' }
    const [kind, layers] = given.value.split(/:(.*)/s) as [string, string?]
    if (!RECOMPUTES.includes(kind as Recompute)) {
      const near = nearest(kind, RECOMPUTES)
      problem(
        `recompute must be one of ${RECOMPUTES.join(', ')}, got "${given.word}"`,
        near === undefined ? 'for instance recompute=selective' : `did you mean recompute=${near}?`,
      )
    } else if (layers !== undefined && (kind !== 'full' || !/^[1-9]\d{0,4}$/.test(layers))) {
      problem(`layers to recompute go with full, got "${given.word}"`, 'for instance recompute=full:4')
    }
    return {
      recompute: kind as Recompute,
      ...(layers !== undefined && { recomputeLayers: Number(layers) }),
    }
  }
}

/** The key and the value of a word: at the equals sign, or where digits begin. */
function split(word: string): [key: string, value: string] {
  const at = word.search(/[=\d-]/)
  if (at < 0) return [word.toLowerCase(), '']
  return [word.slice(0, at).toLowerCase(), word.slice(word[at] === '=' ? at + 1 : at)]
}

/** A word may be asked for twice, and is wrong once. */
function unlike(issues: readonly Issue[]): Issue[] {
  return issues.filter((one, i) => issues.findIndex(({ message }) => message === one.message) === i)
}

/** A layout as text that `parseLayout` reads; what is as it would be anyway is left out. */
export function layoutText(layout: Layout): string {
  const { stageLayers, recomputeLayers } = layout
  const counts: readonly (readonly [CountKey, number, boolean])[] = [
    ['tp', layout.tensorParallel, true],
    ['cp', layout.contextParallel, layout.contextParallel > 1],
    ['pp', layout.pipelineParallel, true],
    ['vp', layout.virtualPipeline, layout.virtualPipeline > 1],
    ['dp', layout.dataParallel, true],
    ['ep', layout.expertParallel, layout.expertParallel > 1],
    ['etp', layout.expertTensorParallel, layout.expertTensorParallel > 1],
    ['mb', layout.microBatch, true],
    ['zero', layout.zeroStage, true],
    ['shards', layout.shardGroup ?? 0, layout.shardGroup !== undefined],
  ]
  return [
    ...counts.flatMap(([key, value, shown]) => (shown ? [`${key}${value}`] : [])),
    ...(layout.sequenceParallel === layout.tensorParallel > 1
      ? []
      : [`sp=${layout.sequenceParallel ? 'on' : 'off'}`]),
    ...(layout.contextMethod === 'ring' || layout.contextParallel === 1 ? [] : ['ring=off']),
    ...(layout.offloadOptimizer ? ['offload'] : []),
    ...(layout.schedule === usualSchedule(layout.virtualPipeline) ? [] : [`schedule=${layout.schedule}`]),
    ...(layout.recompute === 'none'
      ? []
      : [
          `recompute=${layout.recompute}${recomputeLayers === undefined || layout.recompute !== 'full' ? '' : `:${recomputeLayers}`}`,
        ]),
    ...(stageLayers === undefined ? [] : [`stages=${stagesText(stageLayers)}`]),
  ].join(' ')
}

/** Layers of stages with runs of equal ones put together: 7,8x14,7. */
function stagesText(layers: readonly number[]): string {
  const runs: [size: number, times: number][] = []
  for (const size of layers) {
    const last = runs.at(-1)
    if (last?.[0] === size) last[1]++
    else runs.push([size, 1])
  }
  return runs.map(([size, times]) => (times > 1 ? `${size}x${times}` : `${size}`)).join(',')
}
