/** @file The engine of a published row: that of its software, changed by the flags that the row tells. */
import type { Engine, Layout, Precision } from '../../src/simulate/types.ts'
import { ENGINES, type EngineDefaults } from './engines.ts'
import { mindSpeedKernels, usesMc2 } from './mindspeed.ts'
import type { NamedDecoder } from './models.ts'
import type { Assume, Row } from './published-row.ts'

export function engineFor(
  row: Row,
  { engine }: EngineDefaults,
  named: NamedDecoder,
  layout: Layout,
  precision: Precision,
  assume: Assume,
): Engine {
  const overlap = row.overlap ?? ''
  const isMindSpeed = engine.id.startsWith('mindspeed')
  const isNemo = engine.id === ENGINES.nemo.engine.id
  const tensorFlag = /ascend-coc|tp-comm-overlap|fine_grain_interleave=[2-9]/i
  const asyncTensor = /async-?\+?tp/i.test(overlap !== '' ? overlap : row.id)
  // all its rows of 405B (benchmarks/llama3_h100_202412_torchtitan.md, tables 5 and 6)
  const torchtitanTensor = engine.id === ENGINES.torchtitan.engine.id && /405b/i.test(row.model)
  const halves = /micro_batch_interleave_num=[2-9]/.test(row.notes ?? '')
  const dense = layout.expertParallel === 1
  return {
    ...engine,
    fusedAttention: row.flash_attention ?? engine.fusedAttention,
    earlierAttention: engine.earlierAttention || /Megatron-Core 0\.[0-7]\b/.test(row.framework ?? ''),
    fusedElementwise: fusesElementwise(row, engine),
    gradientBytes: precision === 'bf16' && engine.id === 'megatron-deepspeed' ? 4 : engine.gradientBytes,
    overlapsData:
      (engine.overlapsData || /grad-?.?reduce|param-?.?gather/i.test(overlap)) &&
      !/no overlap/i.test(overlap),
    ...(isMindSpeed && mindSpeedKernels(row)),
    overlapsTensor:
      tensorFlag.test(overlap) ||
      usesMc2(row, assume) ||
      asyncTensor ||
      torchtitanTensor ||
      halves ||
      (isNemo && engine.overlapsTensor && layout.tensorParallel > 1),
    overlapsExperts:
      !dense &&
      (engine.overlapsExperts ||
        /moe-fb-overlap|moe-(allgather|alltoall)-overlap/i.test(overlap) ||
        // its recipes overlap exchanges of experts that span nodes
        (isNemo && layout.expertParallel > 8)),
    // Megatron-Core sends beside computation whenever stages are interleaved, MindSpeed where they are folded
    overlapsPipeline:
      engine.overlapsPipeline ||
      layout.schedule === 'dualpipe-v' ||
      /p2p overlap/i.test(overlap) ||
      (layout.virtualPipeline > 1 && !engine.id.startsWith('megatron-20') && !isMindSpeed),
    dropout: named.dropout && !isMindSpeed,
  }
}

/** Kernels of a row: Aleph Alpha's sheets name them; torchtitan without its compiler fuses nothing. */
function fusesElementwise(row: Row, engine: Engine): boolean {
  const kernel = /kernel=([^;]*)/.exec(row.notes ?? '')?.[1]
  if (kernel !== undefined) return /RMS kernel/i.test(kernel)
  if (engine.id === ENGINES.torchtitan.engine.id) return !/FSDP$/.test(row.id)
  return engine.fusedElementwise
}
