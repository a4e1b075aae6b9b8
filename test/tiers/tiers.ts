/**
 * @file The tiers of the tests, told by the names of their files: `unit` asks for no build, process or browser; `slow`
 * trains, compiles programs by the dozen or runs on stand-ins; `e2e` is the built command, the scripts or a browser.
 */
export const TIERS = ['unit', 'slow', 'e2e'] as const
export type Tier = (typeof TIERS)[number]

/** What the name of a file ends with. The longest that fits is its tier. */
export const SUFFIX: Readonly<Record<Tier, string>> = {
  unit: '.test.ts',
  slow: '.slow.test.ts',
  e2e: '.e2e.test.ts',
}
