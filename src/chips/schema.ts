/** @file The schema of chips that users describe in a file of their own: that of the catalog, with most keys optional. */
import { z } from 'zod'
import { DIRECTIONS, FIGURE_GROUPS, NUMBER_FORMATS, RUNTIMES, STATUSES } from './types.ts'

const text = z.string().min(1).nullable().optional()
const texts = z.array(z.string().min(1)).optional()
/** A figure within limits that keep the ratio of any two finite and above 0. */
const amount = (description: string) =>
  z.number().positive().min(1e-6).max(1e30).nullable().optional().describe(description)
const count = (description: string) => z.int().positive().nullable().optional().describe(description)

const rates = Object.fromEntries(
  NUMBER_FORMATS.map((precision) => [
    precision,
    amount('operations a second on dense matrices, such as 312e12'),
  ]),
) as Record<(typeof NUMBER_FORMATS)[number], ReturnType<typeof amount>>

const sources = Object.fromEntries(
  FIGURE_GROUPS.map((group) => [group, texts.describe('where the figures of this group are from')]),
) as Record<(typeof FIGURE_GROUPS)[number], typeof texts>

export const userChipSchema = z.strictObject({
  id: z
    .string()
    .regex(/^[a-z0-9]+([.-][a-z0-9]+)*$/)
    .describe(
      'lower case letters and digits, joined by hyphens, such as my-chip; that of the catalog to change a chip',
    ),
  vendor: z.string().min(1).optional(),
  name: z.string().min(1).optional(),
  aliases: texts,
  family: text,
  typical: z.boolean().optional(),
  status: z.enum(STATUSES).optional(),
  statusNote: text,
  confidence: text,
  process: z
    .strictObject({
      node: text.describe('such as 5 nm: what a watt does depends on it'),
      dieAreaMm2: amount('square millimetres'),
      note: text,
    })
    .optional(),
  peak: z
    .strictObject({
      ...rates,
      matmulOnly: amount('operations a second of matrix products alone'),
      note: text,
    })
    .optional(),
  memory: z
    .strictObject({
      bytes: amount('bytes, such as 64e9'),
      type: text,
      bytesPerSecond: amount('bytes a second, such as 1.6e12'),
      note: text,
    })
    .optional(),
  scaleUp: z
    .strictObject({
      name: text,
      bytesPerSecond: amount('bytes a second a chip'),
      direction: z.enum(DIRECTIONS).nullable().optional(),
      domainSize: count('chips that such links join'),
      topology: text,
      note: text,
    })
    .optional(),
  scaleOut: z
    .strictObject({ bytesPerSecond: amount('bytes a second each way a chip'), protocol: text })
    .optional(),
  server: z.strictObject({ name: text, chips: count('chips a server') }).optional(),
  power: z
    .strictObject({ watts: amount('design power, watts: products go no faster than it allows'), note: text })
    .optional(),
  software: z
    .strictObject({
      runtime: z.enum(RUNTIMES).nullable().optional(),
      stack: text,
      torchDevice: text,
      collectiveBackend: text,
      collectiveLibrary: text,
      kubernetesResource: text,
      note: text,
    })
    .optional(),
  measured: z
    .strictObject({
      bf16: amount('operations a second'),
      fp32: amount('operations a second'),
      int8: amount('operations a second'),
      memoryBytes: amount('bytes'),
      memoryBytesPerSecond: amount('bytes a second'),
      watts: amount('watts'),
      note: text,
    })
    .nullable()
    .optional(),
  disagreements: texts,
  unverified: texts,
  sources: z.strictObject(sources).optional(),
})

export type UserChip = z.output<typeof userChipSchema>

export const userChipsSchema = z.strictObject({
  chips: z.array(userChipSchema).min(1).describe('a list of chips, each with an id'),
})
