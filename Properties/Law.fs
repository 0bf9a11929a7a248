namespace Continuum.Properties

/// The outcome of one law.
type LawResult = {
    /// The law, in words, with the thing it was tried on.
    Law: string
    /// Whether it holds.
    Holds: bool
    /// The numbers behind the answer, for the message of a failing test.
    Detail: string
} with

    /// The outcome in one line.
    override r.ToString() =
        let verdict = if r.Holds then "holds" else "FAILS"
        $"{verdict}: {r.Law} ({r.Detail})"
