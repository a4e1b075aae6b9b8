/** @file Which chip a source means, as an id of the catalog or of chips.yaml beside this file. */
import { refuse } from './row.ts'

export interface NamedChip {
  readonly chip: string
  readonly product: string | null
  readonly chipsPerNode: number
  readonly networkBytesPerSecond: number | null
  readonly assumptions: readonly string[]
}

/** The name of a chip with what else is printed of it. First that fits wins; a third entry is what is assumed. */
const CHIPS: readonly (readonly [RegExp, string, string?])[] = [
  [/^A100.*\b40 ?GB.*PCIe|^A100.*PCIe.*\b40 ?GB/i, 'a100-40gb-pcie'],
  [/^A100.*40 ?GB/i, 'a100-40gb-sxm'],
  [/^A100.*PCIe/i, 'a100-80gb-pcie'],
  [/^A100.*80 ?GB/i, 'a100-80gb-sxm'],
  [/^A100/i, 'a100-80gb-sxm', 'A100 without a memory size: 80 GB SXM'],
  [/^A800.*PCIe/i, 'a800-80gb-pcie'],
  [/^A800/i, 'a800-80gb-sxm'],
  // torchtitan's hosts: 96 GB of HBM2e at 2.4 TB/s, 500 W
  [/^H100.*96 ?GB/i, 'h100-sxm-96gb-hbm2e'],
  [/^H100.*(PCIe|NVL)/i, 'h100-pcie'],
  [/^H100/i, 'h100-sxm'],
  [/^H800/i, 'h800-sxm'],
  [/^H20\b.*141/i, 'h20-141gb'],
  [/^H20\b/i, 'h20-96gb'],
  [/^H200/i, 'h200-sxm'],
  [/^GB200/i, 'gb200'],
  [/^GB300/i, 'gb300'],
  [/^B200/i, 'b200-sxm'],
  [/^B300/i, 'b300-sxm'],
  [/^V100/i, 'v100-sxm2-32gb'],
  [/^Ascend 910A/i, 'ascend-910a'],
  [/^Ascend 910B1/i, 'ascend-910b1'],
  [/^Ascend 910B2/i, 'ascend-910b2'],
  [/^Ascend 910B3/i, 'ascend-910b3'],
  [/^Ascend 910B4/i, 'ascend-910b4'],
  [/^Ascend 910B.*Atlas 800T/i, 'ascend-910b3', '910B of an Atlas 800T A2, bin not stated: B3'],
  [/^Ascend 910B.*PoD/i, 'ascend-910b2', '910B of an Atlas 900 A2 PoDc, bin not stated: B2'],
  [/^Ascend 910B/i, 'ascend-910b2', '910B, bin not stated: B2'],
  // ranks are dies, two in a package
  [/^Ascend 910C/i, 'ascend-910c-die'],
]

/** The chip that a row means. Refuses kinds that are not known. */
export function chipOf(name: string, detail: string | null): NamedChip {
  const all = `${name} ${detail ?? ''}`.replaceAll('_', ' ')
  const found = CHIPS.find(([pattern]) => pattern.test(all)) ?? refuse(`the chip "${name}" is not known`)
  const perNode =
    /NPUS_PER_NODE=(\d+)/.exec(all)?.[1] ?? /(\d+) (?:NPU|GPU)s?(?:\/| per )node/i.exec(all)?.[1]
  const die = found[1] === 'ascend-910c-die'
  return {
    chip: found[1],
    product: productOf(name, detail),
    chipsPerNode: Number(perNode ?? (die ? 16 : 8)),
    networkBytesPerSecond: networkOf(all),
    assumptions: found[2] === undefined ? [] : [found[2]],
  }
}

/** What stands in brackets after the name, else the detail, so far as it is a name rather than a remark. */
function productOf(name: string, detail: string | null): string | null {
  const inBrackets = /\(([^)]*)\)/.exec(name)?.[1]
  // one product, spelled in two ways
  if (inBrackets !== undefined) return inBrackets.replace(/PODc/, 'PoDc')
  return detail === null || /not stated|stated in/i.test(detail) ? null : detail
}

/** Bytes/s of the network that each chip of a node of 8 has, so far as the text tells. */
function networkOf(text: string): number | null {
  // nodes of 8 with four links of 100 Gb/s (bigscience-workshop/bigscience, train/tr11-176B-ml)
  if (/Jean Zay/i.test(text)) return (4 * 100e9) / 8 / 8
  const node = /inter-node (\d+) \(Gb\/s\)/i.exec(text)?.[1]
  if (node !== undefined) return (Number(node) * 1e9) / 8 / 8
  const each = /(\d+) ?Gb\/s/i.exec(text)?.[1] ?? /\b8x(\d+)Gb/i.exec(text)?.[1]
  return each === undefined ? null : (Number(each) * 1e9) / 8
}
