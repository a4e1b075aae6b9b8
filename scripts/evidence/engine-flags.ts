/** @file The engine of a published row: that of its software, changed by the flags that the row tells. */
import { type Layout, type Precision, SCHEDULES } from '../../src/simulate/index.ts'
import { ENGINES, type EngineDefaults, type MeasuredBehaviour } from './engines.ts'
import { mindSpeedKernels, usesMc2 } from './mindspeed.ts'
import type { NamedDecoder } from './models.ts'
import type { Assume, Row } from './published-row.ts'

export function behaviourOf(
  row: Row,
  { behaviour }: EngineDefaults,
  named: NamedDecoder,
  layout: Layout,
  precision: Precision,
  assume: Assume,
): MeasuredBehaviour {
  const overlap = row.overlap ?? ''
  const isMindSpeed = behaviour.measuredAs.startsWith('mindspeed')
  const isNemo = behaviour.measuredAs === ENGINES.nemo.behaviour.measuredAs
  const tensorFlag = /ascend-coc|tp-comm-overlap|fine_grain_interleave=[2-9]/i
  const asyncTensor = /async-?\+?tp/i.test(overlap !== '' ? overlap : row.id)
  // all its rows of 405B (benchmarks/llama3_h100_202412_torchtitan.md, tables 5 and 6)
  const torchtitanTensor =
    behaviour.measuredAs === ENGINES.torchtitan.behaviour.measuredAs && /405b/i.test(row.model)
  const halves = /micro_batch_interleave_num=[2-9]/.test(row.notes ?? '')
  const dense = layout.expertParallel === 1
  return {
    ...behaviour,
    fusedAttention: row.flash_attention ?? behaviour.fusedAttention,
    earlierAttention: behaviour.earlierAttention || /Megatron-Core 0\.[0-7]\b/.test(row.framework ?? ''),
    fusedElementwise: fusesElementwise(row, behaviour),
    gradientBytes:
      precision === 'bf16' && behaviour.measuredAs === 'megatron-deepspeed' ? 4 : behaviour.gradientBytes,
    overlapsData:
      (behaviour.overlapsData || /grad-?.?reduce|param-?.?gather/i.test(overlap)) &&
      !/no overlap/i.test(overlap),
    ...(isMindSpeed && mindSpeedKernels(row)),
    overlapsTensor:
      tensorFlag.test(overlap) ||
      usesMc2(row, assume) ||
      asyncTensor ||
      torchtitanTensor ||
      halves ||
      (isNemo && behaviour.overlapsTensor && layout.tensorParallel > 1),
    overlapsExperts:
      !dense &&
      (behaviour.overlapsExperts ||
        /moe-fb-overlap|moe-(allgather|alltoall)-overlap/i.test(overlap) ||
        // its recipes overlap exchanges of experts that span nodes
        (isNemo && layout.expertParallel > 8)),
    // Megatron-Core sends beside computation whenever stages are interleaved, MindSpeed where they are folded
    overlapsPipeline:
      behaviour.overlapsPipeline ||
      SCHEDULES[layout.schedule].placement === 'folded' ||
      /p2p overlap/i.test(overlap) ||
      (layout.virtualPipeline > 1 && !behaviour.measuredAs.startsWith('megatron-20') && !isMindSpeed),
    dropout: named.dropout && !isMindSpeed,
  }
}

/** Kernels of a row: Aleph Alpha's sheets name them; torchtitan without its compiler fuses nothing. */
function fusesElementwise(row: Row, behaviour: MeasuredBehaviour): boolean {
  const kernel = /kernel=([^;]*)/.exec(row.notes ?? '')?.[1]
  if (kernel !== undefined) return /RMS kernel/i.test(kernel)
  if (behaviour.measuredAs === ENGINES.torchtitan.behaviour.measuredAs) return !/FSDP$/.test(row.id)
  return behaviour.fusedElementwise
}
