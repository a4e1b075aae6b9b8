/** @file An engine: the software that executes a run, as one row of facts, each read from a release of it. */
import type { RuntimeName } from '../chips/index.ts'
import type { Decoder } from '../model/index.ts'
import type { Behaviour, Layout, Lineage, MeasuredSoftware, Workload } from '../simulate/index.ts'
import type { Abilities } from './abilities.ts'
import type { EngineId } from './names.ts'

export { ENGINE_IDS, type EngineId } from './names.ts'

/** A layout with all that a rule judges it by. */
export interface RuleCase {
  readonly layout: Layout
  readonly decoder: Decoder
  readonly workload: Workload
  readonly chips: number
  readonly engine: Engine
}

/** Says what is wrong with a layout, with the numbers and what would do; undefined when nothing is. */
export type Rule = (c: RuleCase) => string | undefined

/** The release that each part of a row was read from; null where nobody noted it. */
export interface ReadFrom {
  readonly behaviour: string | null
  readonly abilities: string | null
  readonly rules: string | null
}

export interface Engine<Id extends EngineId = EngineId> {
  readonly id: Id
  /** For people. */
  readonly name: string
  /** Runtimes of the chips whose runs are planned with this engine unless another is named. */
  readonly firstChoiceOn: readonly RuntimeName[]
  readonly readFrom: ReadFrom
  /** Behaviour in the terms of the simulation; software and lineage are those that constants were fitted on. */
  readonly behaviour: Behaviour & {
    readonly measuredAs: MeasuredSoftware | null
    readonly lineage: Lineage | null
  }
  readonly abilities: Abilities
  /** Rules of its own, besides those for all engines. */
  readonly rules: readonly Rule[]
}
