/** @file Kernels that AIConfigurator measured: matrix products and collectives (ai-dynamo/aiconfigurator). */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { badCell, readCsv, requireFolder } from './files.ts'

/** One matrix product, m x k by k x n. */
export interface MeasuredProduct {
  readonly dtype: string
  readonly m: number
  readonly n: number
  readonly k: number
  readonly seconds: number
}

export const COLLECTIVES = ['all_reduce', 'all_gather', 'reduce_scatter', 'alltoall'] as const
export type Collective = (typeof COLLECTIVES)[number]

/** One collective within a node. */
export interface MeasuredCollective {
  readonly operation: Collective
  readonly dtype: string
  readonly chips: number
  /** Of the whole buffer: what is gathered, or what is reduced before it is scattered. */
  readonly bytes: number
  readonly seconds: number
}

export interface KernelTable<T> {
  readonly file: string
  /** Id of the catalog. */
  readonly chip: string
  /** What the first line says: device and library. */
  readonly title: string
  readonly rows: readonly T[]
}

/** What the names of files begin with. */
const CHIPS: readonly (readonly [prefix: string, chip: string])[] = [
  ['a100_sxm', 'a100-80gb-sxm'],
  ['h100_sxm', 'h100-sxm'],
  ['h200_sxm', 'h200-sxm'],
  ['b200_sxm', 'b200-sxm'],
  ['gb200', 'gb200'],
]

/** Sizes are elements: 2^28 halves and 2^29 bytes take the same time in every table. */
const ELEMENT_BYTES: Readonly<Record<string, number>> = { half: 2, int8: 1 }

/** Products of one table; weights of fewer bits than activations have names such as `int4_wo`. */
function readProducts(file: string): Omit<KernelTable<MeasuredProduct>, 'chip' | 'file'> {
  const { comments, values } = readCsv(file, ['gemm_dtype', 'm', 'n', 'k', 'latency'], (row) => ({
    dtype: row.text('gemm_dtype'),
    m: row.count('m'),
    n: row.count('n'),
    k: row.count('k'),
    seconds: row.number('latency') / 1000,
  }))
  return { title: comments[0] ?? '', rows: values }
}

/** Collectives of one table. */
export function readCollectives(file: string): Omit<KernelTable<MeasuredCollective>, 'chip' | 'file'> {
  const columns = ['op_name', 'nccl_dtype', 'num_gpus', 'message_size', 'latency']
  const { comments, values } = readCsv(file, columns, (row): MeasuredCollective => {
    const operation = COLLECTIVES.find((name) => name === row.text('op_name'))
    if (operation === undefined) badCell('op_name', row.text('op_name'), `one of ${COLLECTIVES.join(', ')}`)
    const dtype = row.text('nccl_dtype')
    const elementBytes = ELEMENT_BYTES[dtype]
    if (elementBytes === undefined) {
      badCell('nccl_dtype', dtype, `one of ${Object.keys(ELEMENT_BYTES).join(', ')}`)
    }
    return {
      operation,
      dtype,
      chips: row.count('num_gpus'),
      bytes: row.count('message_size') * elementBytes,
      seconds: row.number('latency') / 1000,
    }
  })
  return { title: comments[0] ?? '', rows: values }
}

/** All tables of a folder, by the names of their files such as `h100_sxm_gemm_bf16_trtllm_1.3.0.csv`. */
export function readKernels(folder: string): {
  products: KernelTable<MeasuredProduct>[]
  collectives: KernelTable<MeasuredCollective>[]
} {
  const products: KernelTable<MeasuredProduct>[] = []
  const collectives: KernelTable<MeasuredCollective>[] = []
  requireFolder(folder)
  for (const name of readdirSync(folder).sort()) {
    const chip = CHIPS.find(([prefix]) => name.startsWith(`${prefix}_`))?.[1]
    if (!name.endsWith('.csv') || chip === undefined) continue
    const file = join(folder, name)
    if (name.includes('_gemm_')) products.push({ file, chip, ...readProducts(file) })
    else if (name.includes('_comm_')) collectives.push({ file, chip, ...readCollectives(file) })
  }
  return { products, collectives }
}
