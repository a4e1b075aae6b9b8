/** @file `regauge plan`: the layouts of a model that take the least on chips at hand, and why the others lost. */
import { type Chip, EXAMPLE_CHIPS, findChip, loadChips } from '../../chips/index.ts'
import { RegaugeError } from '../../errors.ts'
import { decoderParameters } from '../../model/index.ts'
import {
  type Explanation,
  type PlannedLayout,
  type PlanRequest,
  type PlanResult,
  planLayouts,
} from '../../plan/index.ts'
import {
  type Engine,
  type Layout,
  layoutText,
  type Machine,
  machineOf,
  type Precision,
  type Workload,
} from '../../simulate/index.ts'
import {
  type FrontierPoint,
  grouped,
  harmless,
  type PlannedPool,
  type PlanReport,
  writePlan,
} from '../../watch/index.ts'
import { chipNamed } from '../chips.ts'
import type { Command } from '../context.ts'
import { explained } from '../explain.ts'
import type { OptionValues } from '../options.ts'
import { planLines } from '../plan-text.ts'
import {
  engineFor,
  layoutFor,
  machineJson,
  type PlannedModel,
  plannedModel,
  plannedWorkload,
} from '../planning.ts'
import {
  awaited,
  batchOf,
  countOf,
  hourlyPriceOf,
  poolOf,
  problemList,
  type Report,
  reported,
} from '../quantities.ts'
import type { Terminal } from '../ui/terminal.ts'

const DAY = 86_400
const OBJECTIVES: Readonly<Record<string, string>> = {
  time: 'time of a step',
  chips: 'chip-hours',
  energy: 'energy',
  money: 'money',
}
/** Shares of the chips at hand that a sweep plans for. */
const SWEEP = [1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4]

export const run: Command<'plan'> = async ({ options, json, terminal }) => {
  const asked = await readOptions(options, terminal)
  const talk = (text: string): void => {
    if (!json) terminal.talk(harmless(text))
  }
  const pools = asked.pools.map((pool) => planned(pool, asked, talk))
  const report: PlanReport = {
    model: asked.model.name,
    workload: asked.workload,
    tokens: asked.tokens,
    objective: OBJECTIVES[asked.objective]!,
    pools,
    notes: asked.notes,
  }
  const explanations = pools.map(({ result }, i) => {
    const { layout, machine } = asked.pools[i]!
    return layout && explained(requestOf(asked.pools[i]!, asked, machine), layout, result.best[0])
  })
  if (options.report !== undefined) writePlan(report, options.report)
  if (json) terminal.data(JSON.stringify(planJson(asked.model, report, explanations), null, 2))
  else {
    for (const line of planLines(asked.model, report, explanations, terminal)) terminal.data(line)
    for (const note of report.notes) talk(note)
    if (options.report !== undefined) talk(`page: ${options.report}`)
  }
  return 0
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
  readonly top: number | undefined
  readonly sweep: boolean
  readonly pools: readonly Pool[]
  readonly notes: readonly string[]
}

async function readOptions(options: OptionValues<'plan'>, terminal: Terminal): Promise<Asked> {
  const { report, end } = problemList()
  const batch = reported(report, '--batch', () => batchOf(options.batch, options.seq))
  const tokens = countOf(options.tokens)
  if (tokens === undefined || tokens < 1) {
    report({
      code: 'CLI_VALUE',
      message: `--tokens: "${options.tokens}" is not a number of tokens`,
      hint: 'for instance 10T, 500B or 3e11',
    })
  }
  if (options.days === 0) {
    report({ code: 'CLI_VALUE', message: '--days: no run takes 0 days', hint: 'give more, or leave it out' })
  }
  const chips = await loadChips(options.chips)
  const precision = (options.precision ?? 'bf16') as Precision
  const prices = pricesOf(options.price, options.on.length, chips, report)
  const pools = options.on.map((text) =>
    reported(report, '--on', () => {
      const { word, count, networkBytesPerSecond } = poolOf(text, EXAMPLE_CHIPS[0])
      const chip = chipNamed(chips, word, terminal)
      const machine = machineOf(
        chip,
        count,
        precision,
        networkBytesPerSecond === undefined ? {} : { networkBytesPerSecond },
      )
      const { explain } = options
      const engine = engineFor(chip, options.engine)
      return {
        layout:
          explain === undefined
            ? undefined
            : reported(report, '--explain', () => layoutFor(engine, explain, count)),
        name: `${grouped(count)} ${chip.name}`,
        machine,
        engine,
        price: prices.get(chip.id) ?? prices.get(''),
      }
    }),
  )
  const objective = options.objective ?? 'time'
  missingFigures(objective, pools, report)
  const model = await awaited(report, plannedModel(options.model))
  if (model === undefined || batch === undefined) end()
  const workload = plannedWorkload(model!.decoder, options.seq, batch!.sequences, precision, report)
  end()
  const steps = tokens! / (workload.globalBatch * workload.sequenceLength)
  return {
    model: model!,
    workload,
    tokens: tokens!,
    objective,
    maximumSeconds: options.days === undefined ? undefined : (options.days * DAY) / steps,
    top: options.top,
    sweep: options.sweep !== undefined,
    pools: pools.map((pool) => pool!),
    notes: [...model!.notes, ...(batch!.note === undefined ? [] : [`--batch: ${batch!.note}`])],
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
  const { workload, tokens, objective, maximumSeconds, top } = asked
  return {
    workload,
    machine,
    engine: pool.engine,
    tokens,
    objective: objective === 'time' ? 'time' : 'chip-time',
    ...(top !== undefined && { top }),
    ...(maximumSeconds !== undefined && { maximumSeconds }),
    ...(pool.price !== undefined && { pricePerChipHour: pool.price }),
  }
}

function planned(pool: Pool, asked: Asked, talk: (text: string) => void): PlannedPool {
  talk(`searching layouts on ${pool.name} under ${pool.engine.name}`)
  const result = planLayouts(requestOf(pool, asked, pool.machine))
  if (!asked.sweep) return { name: pool.name, result, frontier: [] }
  const counts = SWEEP.map((share) => Math.round(share * pool.machine.count)).filter((count) => count > 0)
  const points = [...new Set(counts)].flatMap((count): FrontierPoint[] => {
    talk(`the same with ${grouped(count)} of them`)
    const machine = { ...pool.machine, count }
    const { best } = planLayouts({ ...requestOf(pool, asked, machine), top: 1, reasons: false })
    return pointOf(count, best[0])
  })
  return {
    name: pool.name,
    result,
    frontier: [...points, ...pointOf(pool.machine.count, result.best[0])],
  }
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
function planJson(
  model: PlannedModel,
  { workload, tokens, objective, pools, notes }: PlanReport,
  explanations: readonly (Explanation | undefined)[],
) {
  const { total, active } = decoderParameters(model.decoder)
  return {
    model: { name: model.name, family: model.family, parameters: total, activeParameters: active },
    sequenceLength: workload.sequenceLength,
    globalBatch: workload.globalBatch,
    precision: workload.precision,
    tokens,
    objective,
    pools: pools.map(({ result, frontier }, i) => {
      const { best: _, ...explained } = explanations[i] ?? { best: undefined }
      return {
        ...resultJson(result),
        frontier,
        ...(explanations[i] !== undefined && { explained }),
      }
    }),
    notes,
  }
}

function resultJson({ simulator, best, ...rest }: PlanResult) {
  return {
    machine: machineJson(simulator.machine),
    engine: simulator.engine.name,
    best: best.map((planned) => ({ text: layoutText(planned.layout), ...planned })),
    ...rest,
  }
}
