/** @file A walk over the operations of a layer, forward and backward, for the bytes alive at its highest point. */

/** One operation of a layer, in the order of the forward pass. Bytes. */
export interface Pass {
  readonly name: string
  /** Kept until the operation's backward pass has run. A tensor that two operations keep is counted at the first. */
  readonly saves: number
  /** Alive at the end of the operation's forward pass, besides what has been saved until then. */
  readonly forward: number
  /** Alive during the operation's backward pass, besides what is still saved: gradients, gathered inputs. */
  readonly backward: number
}

/** The highest point of a walk: what is saved there and what lives only there. Bytes. */
export interface Peak {
  readonly at: string
  readonly saved: number
  readonly transient: number
}

export interface Walk {
  /** Bytes that the whole layer keeps for its backward pass. */
  readonly saved: number
  readonly peak: Peak
}

/** Runs forward through the passes and backward again. What an operation saved is freed once its backward has run. */
export function walk(passes: readonly Pass[]): Walk {
  let saved = 0
  let peak: Peak = { at: '', saved: 0, transient: 0 }
  for (const { name, saves, forward, backward } of passes) {
    saved += saves
    const transient = Math.max(forward, backward)
    if (saved + transient > peak.saved + peak.transient) peak = { at: name, saved, transient }
  }
  return { saved, peak }
}

/** The same layer where only its input is kept: all other values are computed again before the backward pass. */
export function recomputed({ saved, peak }: Walk, input: number): Walk {
  const transient = peak.saved + peak.transient
  return {
    saved: Math.min(input, saved),
    peak: { at: peak.at, saved: Math.min(input, saved), transient: transient - Math.min(input, saved) },
  }
}
