/** @file `regauge plan`: the layouts of a model that take the least on chips at hand, and why the others lost. */

import { type Chip, EXAMPLE_CHIPS, findChip, loadChips } from '../../chips/index.ts'
import type { Engine } from '../../engines/index.ts'
import { EXIT_CODES, RegaugeError } from '../../errors.ts'
import { harmless } from '../../harmless.ts'
import { decoderFlops } from '../../model/index.ts'
import {
  explainLayout,
  fewestChips,
  MOST_LAYERS,
  MOST_LAYOUTS,
  type PlannedLayout,
  type PlanRequest,
  type PlanResult,
  type PoolsResult,
  planLayouts,
  planPools,
} from '../../plan/index.ts'
import { type Layout, layoutText, type Machine, type Workload } from '../../simulate/index.ts'
import { type FrontierPoint, type PlannedPool, type PlanReport, writePlan } from '../../watch/index.ts'
import { grouped } from '../../words.ts'
import type { Command } from '../context.ts'
import type { OptionValues } from '../options.ts'
import { planLines } from '../plan-text.ts'
import {
  chipPool,
  layoutFor,
  linkNotes,
  machineJson,
  type PlannedModel,
  plannedRun,
  requirePlaces,
  runJson,
} from '../planning.ts'
import {
  bandwidthOf,
  hourlyPriceOf,
  poolOf,
  problemList,
  type Report,
  reported,
  tokensOf,
} from '../quantities.ts'
import type { Terminal } from '../ui/terminal.ts'

const DAY = 86_400
const OBJECTIVES: Readonly<Record<string, string>> = {
  time: 'time of a step',
  chips: 'chip-hours',
  energy: 'energy',
  money: 'money',
}
/** Seconds of a message between pools: that of some hundred kilometres of fibre. */
const LINK_LATENCY = 1e-3
/** Any two pools are joined in three ways, each a search. */
const MOST_POOLS = 16
const MOST_DAYS = 36_500
/** Shares of the chips at hand that a sweep plans for. */
const SWEEP = [1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4]

export const run: Command<'plan'> = async ({ options, json, terminal }) => {
  const asked = await readOptions(options, terminal)
  const talk = (text: string): void => {
    if (!json) terminal.talk(harmless(text))
  }
  const pools = asked.pools.map((pool) => planned(pool, asked, talk))
  const joined = asked.link !== undefined && pools.length > 1
  if (joined) talk('searching replicas and pipelines over both of any two pools')
  const report: PlanReport = {
    model: asked.model.name,
    workload: asked.workload,
    tokens: asked.tokens,
    objective:
      asked.fewestIn === undefined ? OBJECTIVES[asked.objective]! : `chips within ${asked.fewestIn} days`,
    pools,
    ...(joined && { together: together(pools, asked, asked.link) }),
    notes: asked.notes,
  }
  // first: what cannot be written is the one thing that is told
  if (options.report !== undefined) writePlan(report, options.report)
  if (json) terminal.data(JSON.stringify(planJson(asked.model, report), null, 2))
  else {
    const shown = { allReasons: options.reasons !== undefined }
    for (const line of planLines(asked.model, report, terminal, shown)) terminal.data(line)
    for (const note of report.notes) talk(note)
    if (options.report !== undefined) talk(`page: ${options.report}`)
  }
  return fits(report) ? 0 : EXIT_CODES.memory
}

/** Whether a layout fits, on some of the pools or on several together; that it is fast enough is not asked. */
function fits({ pools, together }: PlanReport): boolean {
  return pools.some(({ result }) => poolFits(result)) || together?.result.best !== undefined
}

function poolFits({ best, fastest }: PlanResult): boolean {
  return best.length > 0 || fastest !== undefined
}

interface Pool {
  readonly name: string
  readonly machine: Machine
  readonly engine: Engine
  readonly price: number | undefined
  /** To be explained. */
  readonly layout: Layout | undefined
}

/** What is asked, read. */
interface Asked {
  readonly model: PlannedModel
  readonly workload: Workload
  readonly tokens: number
  readonly objective: string
  readonly maximumSeconds: number | undefined
  /** Days in which as few chips as can be are to end the run. */
  readonly fewestIn: number | undefined
  /** Bytes/s between pools. */
  readonly link: number | undefined
  readonly top: number | undefined
  readonly sweep: boolean
  readonly pools: readonly Pool[]
  readonly notes: readonly string[]
}

async function readOptions(options: OptionValues<'plan'>, terminal: Terminal): Promise<Asked> {
  const problems = problemList()
  const { report, end } = problems
  const tokens = reported(report, '--tokens', () => tokensOf(options.tokens))
  const wrong = (message: string, hint: string) => report({ code: 'CLI_VALUE', message, hint })
  if (options.days === 0) wrong('--days: no run takes 0 days', 'give more, or leave it out')
  if (options.days !== undefined && options.days > MOST_DAYS) {
    wrong(
      `--days: ${options.days} days are more than a century`,
      `give ${MOST_DAYS} at most, or leave it out`,
    )
  }
  if (options.top !== undefined && options.top > MOST_LAYOUTS) {
    wrong(`--top: a list of ${options.top} layouts`, `give ${MOST_LAYOUTS} at most`)
  }
  if (options.on.length > MOST_POOLS) {
    wrong(`--on: ${options.on.length} pools`, `give ${MOST_POOLS} at most`)
  }
  const chips = await loadChips(options.chips)
  const prices = pricesOf(options.price, options.on.length, chips, report)
  const link =
    options.link === undefined ? undefined : reported(report, '--link', () => bandwidthOf(options.link!))
  const pools = options.on.map((text, at) =>
    reported(report, '--on', () => {
      const { machine, engine } = chipPool(poolOf(text, EXAMPLE_CHIPS[0]), chips, options, terminal)
      const { chip, count } = machine
      const { explain } = options
      return {
        layout:
          explain === undefined
            ? undefined
            : reported(report, '--explain', () => layoutFor(engine, explain, count)),
        name: `${grouped(count)} ${chip.name}${options.on.indexOf(text) < at ? ` (${at + 1})` : ''}`,
        machine,
        engine,
        price: prices.get(chip.id) ?? prices.get(''),
      }
    }),
  )
  const objective = options.objective ?? 'time'
  if (link !== undefined && objective !== 'time') {
    wrong(
      `--link: pools are joined for the least time, not the least ${OBJECTIVES[objective]}`,
      'leave out --link or --objective',
    )
  }
  if (link !== undefined && pools.length === 1) {
    wrong('--link: one pool has none to be joined with', 'give another --on, or leave it out')
  }
  for (const id of prices.keys()) {
    if (id === '' || pools.some((pool) => pool === undefined || pool.machine.chip.id === id)) continue
    wrong(`--price: no pool has ${id}`, 'leave it out, or give it for a chip of --on')
  }
  missingFigures(objective, pools, report)
  const { model, workload, notes } = await plannedRun(options, problems)
  if (workload.decoder.layers > MOST_LAYERS) {
    wrong(
      `--model: ${workload.decoder.layers} layers are more than can be searched`,
      `${MOST_LAYERS} can; regauge simulate takes more`,
    )
  }
  requirePlaces(options, problems)
  end()
  const steps = tokens! / (workload.globalBatch * workload.sequenceLength)
  return {
    model,
    workload,
    tokens: tokens!,
    objective,
    maximumSeconds: options.days === undefined ? undefined : (options.days * DAY) / steps,
    fewestIn: objective === 'chips' ? options.days : undefined,
    link,
    top: options.top,
    sweep: options.sweep !== undefined,
    pools: pools.map((pool) => pool!),
    notes: [...model.notes, ...linkNotes(pools.map((pool) => pool!.machine)), ...notes],
  }
}

/** Prices by the id of a chip; a price without a chip, which one pool allows, by no id. */
function pricesOf(
  texts: readonly string[],
  pools: number,
  chips: readonly Chip[],
  report: Report,
): Map<string, number> {
  const prices = new Map<string, number>()
  for (const text of texts) {
    reported(report, '--price', () => {
      const at = text.lastIndexOf('=')
      if (at < 0 && pools > 1) {
        throw new RegaugeError('usage', {
          code: 'CLI_PRICE',
          message: `"${text}" does not say of which chip`,
          hint: `there are ${pools} pools: give it as ${EXAMPLE_CHIPS[0]}=2.5/h`,
        })
      }
      const id = at < 0 ? '' : findChip(chips, text.slice(0, at)).chip.id
      if (prices.has(id)) {
        throw new RegaugeError('usage', {
          code: 'CLI_PRICE',
          message: `"${text}" is a second price${id === '' ? '' : ` of ${id}`}`,
          hint: 'give one of them',
        })
      }
      prices.set(id, hourlyPriceOf(text.slice(at + 1)))
    })
  }
  return prices
}

/** An objective may need what nobody published or gave. */
function missingFigures(objective: string, pools: readonly (Pool | undefined)[], report: Report): void {
  for (const pool of pools) {
    if (pool === undefined) continue
    const { chip, watts } = pool.machine
    if (objective === 'energy' && watts === null) {
      report({
        code: 'CHIP_FIGURE',
        message: `--objective: nobody published the power of ${chip.id}`,
        hint: 'describe the chip in a file and pass it with --chips',
      })
    }
    if (objective === 'money' && pool.price === undefined) {
      report({
        code: 'CLI_PRICE',
        message: `--objective: money needs a price of ${chip.id}`,
        hint: `give --price ${chip.id}=2.5/h`,
      })
    }
  }
}

function requestOf(pool: Pool, asked: Asked, machine: Machine): PlanRequest {
  const { workload, tokens, objective, maximumSeconds, fewestIn, top } = asked
  return {
    workload,
    machine,
    engine: pool.engine,
    tokens,
    objective: objective === 'time' || fewestIn !== undefined ? 'time' : 'chip-time',
    ...(top !== undefined && { top }),
    ...(maximumSeconds !== undefined && { maximumSeconds }),
    ...(pool.price !== undefined && { pricePerChipHour: pool.price }),
  }
}

function planned(pool: Pool, asked: Asked, talk: (text: string) => void): PlannedPool {
  talk(`searching layouts on ${pool.name} under ${pool.engine.name}`)
  const least = asked.fewestIn === undefined ? undefined : fewestOf(pool, asked, asked.fewestIn)
  const machine = { ...pool.machine, count: least ?? pool.machine.count }
  const result = planLayouts(requestOf(pool, asked, machine))
  const explanation =
    pool.layout && explainLayout(requestOf(pool, asked, pool.machine), pool.layout, result.best[0])
  const base = {
    name:
      least === undefined || least === pool.machine.count ? pool.name : `${grouped(least)} of ${pool.name}`,
    engine: pool.engine,
    result,
    ...(explanation !== undefined && { explanation }),
  }
  if (!asked.sweep) return { ...base, frontier: [] }
  const counts = SWEEP.map((share) => Math.round(share * pool.machine.count)).filter((count) => count > 0)
  // what takes longer than it may is of interest here
  const { maximumSeconds: _, ...request } = requestOf(pool, asked, machine)
  const points = [...new Set(counts)].flatMap((count): FrontierPoint[] => {
    talk(`the same with ${grouped(count)} of them`)
    const { best } = planLayouts({ ...request, machine: { ...machine, count }, top: 1, reasons: false })
    return pointOf(count, best[0])
  })
  return { ...base, frontier: [...points, ...pointOf(machine.count, result.best[0])] }
}

/** The fewest chips within some days: the least half of a half that is enough, then by 16ths of it, in whole domains. */
function fewestOf(pool: Pool, asked: Asked, days: number): number | undefined {
  const { machine } = pool
  const request = requestOf(pool, asked, machine)
  const perToken = decoderFlops(asked.workload.decoder, asked.workload.sequenceLength).total
  const least = (perToken * asked.tokens) / (days * DAY * machine.flops)
  const halves: number[] = []
  for (let count = machine.count; count >= Math.max(1, least); count = Math.floor(count / 2))
    halves.push(count)
  const enough = fewestChips(request, days, halves)?.count
  if (enough === undefined) return undefined
  const domain = Math.min(machine.links[0]!.size, enough)
  const parts = Array.from({ length: 8 }, (_, i) => Math.ceil((enough * (9 + i)) / 16 / domain) * domain)
  const between = [...new Set(parts)].filter((count) => count < enough && count >= least)
  // what is found may leave some of them idle
  return fewestChips(request, days, between)?.planned?.chips ?? enough
}

/** The run on all pools, with what is known of each alone. */
function together(pools: readonly PlannedPool[], asked: Asked, bytesPerSecond: number) {
  const { workload, tokens } = asked
  const link = { bytesPerSecond, latency: LINK_LATENCY }
  const result = planPools({
    workload,
    tokens,
    link,
    pools: pools.map(({ name, result: { best } }, i) => {
      const { machine, engine } = asked.pools[i]!
      return { name, machine, engine, ...(best[0] !== undefined && { alone: best[0] }) }
    }),
  })
  return { link, result }
}

function pointOf(chips: number, best: PlannedLayout | undefined): FrontierPoint[] {
  if (best === undefined || best.cost.days === null) return []
  const { band, seconds } = best.prediction
  const { days } = best.cost
  return [
    {
      chips,
      days,
      low: (days * band.low) / seconds,
      high: (days * band.high) / seconds,
      layout: layoutText(best.layout),
    },
  ]
}

/** All of it for scripts. Bytes, seconds, kilowatt-hours. */
function planJson(model: PlannedModel, report: PlanReport) {
  const { workload, tokens, objective, pools, together, notes } = report
  return {
    ...runJson(model, workload),
    tokens,
    objective,
    fits: fits(report),
    pools: pools.map(({ engine, result, frontier, explanation }) => {
      const { best: _, ...explained } = explanation ?? { best: undefined }
      return { ...resultJson(engine, result), frontier, ...(explanation !== undefined && { explained }) }
    }),
    ...(together !== undefined && { together: { link: together.link, ...poolsJson(together.result) } }),
    notes,
  }
}

function resultJson(engine: Engine, result: PlanResult) {
  const { simulator, best, fastest, ...rest } = result
  const withText = (planned: PlannedLayout) => ({ text: layoutText(planned.layout), ...planned })
  return {
    machine: machineJson(simulator.machine),
    engine: engine.name,
    fits: poolFits(result),
    best: best.map(withText),
    ...(fastest !== undefined && { fastest: withText(fastest) }),
    ...rest,
  }
}

function poolsJson({ plans, impossible }: PoolsResult) {
  return {
    plans: plans.map(({ parts, ...plan }) => ({
      ...plan,
      parts: parts.map((part) => ({ text: layoutText(part.layout), ...part })),
    })),
    impossible,
  }
}
