/** @file MindSpeed-LLM, which is Megatron-LM with MindSpeed's changes. */
import { EVERYTHING } from './abilities.ts'
import { BASIC_BEHAVIOUR } from './behaviour.ts'
import { MEGATRON_RULES } from './megatron-rules.ts'
import type { Engine } from './types.ts'

export const mindSpeedLlm: Engine<'mindspeed-llm'> = {
  id: 'mindspeed-llm',
  name: 'MindSpeed-LLM',
  firstChoiceOn: ['cann'],
  readFrom: { behaviour: null, abilities: null, rules: 'commit c77308a1' },
  // overlaps are those that its own recipes turn on
  behaviour: {
    ...BASIC_BEHAVIOUR,
    measuredAs: 'mindspeed',
    lineage: 'mindspeed',
    overlapsData: true,
    overlapsTensor: true,
    overlapsPipeline: true,
    scattersSends: true,
    // --swap-optimizer moves the state, not the update (docs/features/swap-optimizer of MindSpeed)
    updatesOnHost: false,
  },
  // --num-layer-list, --context-parallel-algo, --schedules-method dualpipev, --swap-optimizer with ZeRO 1;
  // --moe-tp-extend-ep, or experts are split as all else is
  abilities: {
    ...EVERYTHING,
    lighterEnds: false,
    schedules: ['1f1b', 'interleaved', 'dualpipe-v'],
    expertTensorWhole: true,
    expertsNeedSequence: true,
    zeroStages: [0, 1],
    offloadFrom: 1,
  },
  // it keeps all of them
  rules: MEGATRON_RULES,
}
