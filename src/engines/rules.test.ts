/** @file Each rule of the engines by a layout that breaks it alone. */

import { describe, expect, test } from 'vitest'
import { readDecoder } from '../model/index.ts'
import { type Layout, ONE_CHIP, type Workload } from '../simulate/index.ts'
import { ENGINES, type Engine, type EngineId, EVERYTHING, violations } from './index.ts'

const plain: Layout = {
  ...ONE_CHIP,
  tensorParallel: 2,
  sequenceParallel: true,
  pipelineParallel: 2,
  dataParallel: 4,
}

function workloadOf(experts: boolean, tied = false): Workload {
  const decoder = readDecoder({
    model_type: experts ? 'mixtral' : 'llama',
    hidden_size: 1024,
    intermediate_size: 4096,
    num_hidden_layers: 8,
    num_attention_heads: 12,
    num_key_value_heads: 4,
    head_dim: 128,
    vocab_size: 32000,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    hidden_act: 'silu',
    tie_word_embeddings: tied,
    ...(experts ? { num_local_experts: 8, num_experts_per_tok: 2 } : {}),
  })
  return { decoder, sequenceLength: 4096, globalBatch: 64, precision: 'bf16' }
}

function chipsOf(l: Layout): number {
  return l.tensorParallel * l.contextParallel * l.pipelineParallel * l.dataParallel
}

interface Case {
  readonly broken: Partial<Layout>
  readonly says: string
  readonly engine?: EngineId | Engine
  readonly experts?: boolean
  readonly tied?: boolean
  readonly chips?: number
}

const ALL: Engine = { ...ENGINES['megatron-lm'], name: 'an engine of everything', abilities: EVERYTHING }

const CASES: readonly Case[] = [
  { broken: { dataParallel: 0.5 }, says: 'dataParallel 0.5: integers from 1 on are needed' },
  { broken: {}, chips: 15, says: 'tensor 2 x context 1 x pipeline 2 x data 4 is 16 chips, not 15' },
  { broken: { dataParallel: 3 }, says: 'a batch of 64 sequences does not divide' },
  { broken: { tensorParallel: 8 }, says: '12 attention heads do not divide by tensor parallelism 8' },
  { broken: { tensorParallel: 6 }, says: '4 key-value heads are neither a multiple nor a divisor' },
  { broken: { tensorParallel: 3 }, says: 'an MLP 4096 wide does not divide by tensor parallelism 3' },
  { broken: { expertTensorParallel: 2 }, says: 'expert-tensor parallelism needs a model with experts' },
  { broken: { expertTensorParallel: 3 }, experts: true, says: 'experts 4096 wide do not divide' },
  { broken: { tensorParallel: 1 }, says: 'sequence parallelism needs tensor parallelism above 1' },
  {
    broken: { sequenceParallel: false },
    experts: true,
    says: 'Megatron-LM needs sequence parallelism where experts meet tensor parallelism 2',
  },
  { broken: { pipelineParallel: 16 }, says: '8 layers are too few for 16 stages' },
  { broken: { stageLayers: [3, 4, 1] }, says: '3 stages are described, but pipeline parallelism is 2' },
  { broken: { stageLayers: [3, 4] }, says: 'stages of 3+4 layers are 7, not 8' },
  { broken: { stageLayers: [8, 0] }, says: 'every stage needs a layer' },
  {
    broken: { virtualPipeline: 2, schedule: 'interleaved', stageLayers: [5, 3] },
    says: 'stages of given layers do not go with the schedule interleaved',
  },
  {
    broken: { virtualPipeline: 3, schedule: 'interleaved' },
    says: '8 layers do not divide into 2 stages of 3',
  },
  { broken: { virtualPipeline: 2 }, says: '2 chunks a stage do not go with the schedule 1f1b' },
  {
    broken: { virtualPipeline: 2, pipelineParallel: 1, schedule: 'interleaved' },
    says: 'the schedule interleaved needs pipeline parallelism above 1',
  },
  {
    broken: { virtualPipeline: 2, schedule: 'interleaved', dataParallel: 64 },
    says: 'the schedule interleaved needs at least 2 micro-batches, there are 1',
  },
  { broken: { contextParallel: 3 }, says: 'does not divide into 6 pieces for context parallelism 3' },
  {
    broken: { contextParallel: 4, contextMethod: 'all-to-all' },
    says: 'all-to-all context parallelism needs heads that divide by 4 x 2, there are 12',
  },
  { broken: { expertParallel: 2 }, says: 'expert parallelism needs a model with experts' },
  { broken: { expertParallel: 3, dataParallel: 32 }, experts: true, says: '8 experts do not divide by' },
  {
    broken: { expertParallel: 8, dataParallel: 2 },
    experts: true,
    says: '8 chips do not divide by expert-tensor 1',
  },
  { broken: { schedule: 'dualpipe' }, says: 'Megatron-LM has no schedule dualpipe' },
  { broken: { schedule: 'zb-v' }, says: 'Megatron-LM has no schedule zb-v' },
  { broken: { schedule: 'zb-v' }, engine: 'mindspeed-llm', says: 'MindSpeed-LLM has no schedule zb-v' },
  {
    broken: { schedule: 'dualpipe' },
    engine: 'mindspeed-llm',
    says: 'MindSpeed-LLM has no schedule dualpipe',
  },
  {
    broken: { schedule: 'dualpipe-v', dataParallel: 32 },
    engine: 'mindspeed-llm',
    says: 'the schedule dualpipe-v needs at least 4 micro-batches, there are 2',
  },
  {
    broken: { schedule: 'dualpipe-v' },
    engine: 'mindspeed-llm',
    tied: true,
    says: 'the schedule dualpipe-v needs untied embeddings',
  },
  {
    broken: { schedule: 'dualpipe-v', contextParallel: 2 },
    engine: 'mindspeed-llm',
    says: 'the schedule dualpipe-v excludes context parallelism',
  },
  {
    broken: { schedule: 'dualpipe', pipelineParallel: 3 },
    engine: ALL,
    says: 'the schedule dualpipe needs an even number of stages, not 3',
  },
  {
    broken: { schedule: 'dualpipe', dataParallel: 64 / 9, microBatch: 1 },
    engine: ALL,
    says: 'the schedule dualpipe needs micro-batches in multiples of 2, there are 9',
  },
  { broken: { zeroStage: 3 }, says: 'ZeRO stage 3 with pipeline parallelism' },
  { broken: { zeroStage: 3, pipelineParallel: 1 }, engine: 'mindspeed-llm', says: 'has no ZeRO stage 3' },
  { broken: { shardGroup: 3 }, says: '4 replicas do not divide into groups of 3 that share' },
  { broken: { offloadOptimizer: true, zeroStage: 0 }, says: 'from ZeRO stage 1 on, not at 0' },
  { broken: { recomputeLayers: 2 }, says: '2 layers to recompute do not go with recompute none' },
  {
    broken: { recompute: 'full', recomputeLayers: 1, virtualPipeline: 2, schedule: 'interleaved' },
    says: '1 layers to recompute do not divide into 2 chunks',
  },
  {
    broken: { recompute: 'full', recomputeLayers: 99_999 },
    says: '99999 layers to recompute are more than the ',
  },
  { broken: {}, engine: 'torch', says: 'PyTorch FSDP2 has no tensor parallelism, no pipeline parallelism' },
]

describe('rules', () => {
  test.each(CASES)('$says', ({ broken, says, engine = 'megatron-lm', experts = false, tied, chips }) => {
    const layout = { ...plain, ...broken }
    const found = violations(
      layout,
      workloadOf(experts, tied),
      chips ?? chipsOf(layout),
      typeof engine === 'string' ? ENGINES[engine] : engine,
    )
    expect(found.join('\n')).toContain(says)
  })

  test('a layout that breaks none', () => {
    expect(violations(plain, workloadOf(false), 16, ENGINES['megatron-lm'])).toEqual([])
    const folded: Layout = { ...plain, schedule: 'dualpipe-v' }
    expect(violations(folded, workloadOf(false), 16, ENGINES['mindspeed-llm'])).toEqual([])
    // chunks of one layer, but for the first and the last: those of the embedding and of the loss have none
    const light: Layout = { ...plain, schedule: 'interleaved', virtualPipeline: 5 }
    expect(violations(light, workloadOf(false), 16, ENGINES['megatron-lm'])).toEqual([])
    expect(violations(light, workloadOf(false), 16, ENGINES['mindspeed-llm']).join()).toContain('are too few')
  })
})
