/** @file Megatron-LM. */
import { EVERYTHING } from './abilities.ts'
import { BASIC_BEHAVIOUR } from './behaviour.ts'
import { MEGATRON_RULES } from './megatron-rules.ts'
import type { Engine } from './types.ts'

export const megatronLm: Engine<'megatron-lm'> = {
  id: 'megatron-lm',
  name: 'Megatron-LM',
  firstChoiceOn: ['cuda'],
  readFrom: { behaviour: null, abilities: null, rules: 'commit d98e8a64' },
  // overlaps are those that its own recipes turn on
  behaviour: {
    ...BASIC_BEHAVIOUR,
    measuredAs: 'megatron-core',
    lineage: 'megatron',
    fusedLoss: true,
    overlapsData: true,
    dispatchesOnce: true,
    overlapsPipeline: true,
    scattersSends: true,
    vocabularyMultiple: 128,
  },
  // --pipeline-model-parallel-layout, --account-for-embedding-in-pipeline-split and -loss-, --cp-comm-type,
  // --expert-tensor-parallel-size, --optimizer-cpu-offload, --use-megatron-fsdp for ZeRO 2 and 3; its schedules are 1F1B
  // with and without interleaving
  abilities: {
    ...EVERYTHING,
    schedules: ['1f1b', 'interleaved'],
    expertsNeedSequence: true,
    offloadFrom: 1,
  },
  rules: MEGATRON_RULES,
}
