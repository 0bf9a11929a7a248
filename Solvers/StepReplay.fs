// What a solve leaves behind to be differentiated, and how one of its steps is made again over numbers with derivatives. The lengths
// of the steps are held: the derivative is the one of the discrete solution, exact to rounding, and no noise of step control
// enters. A step over Partials carries eight columns of a sensitivity matrix; its transpose carries the gradient of one loss.
namespace Continuum

#nowarn "3535" "3536"

open System
open System.Collections.Generic

/// An accepted step.
[<Struct>]
type internal StepRecord = {
    /// Its start.
    Time: float
    /// Signed length.
    Length: float
    /// Which of the solve's methods made it.
    Method: int
    /// Order of the formula, for methods that vary it; 0 otherwise.
    Order: int
    /// Its place among the entries of the record.
    Index: int
}

/// One thing the forward solve did.
[<Struct>]
type internal SolveEntry =
    /// An accepted step.
    | Stepped of step: StepRecord
    /// A change of the state at an event or a scheduled time; a declared jump when both are -1.
    | ChangedBy of time: float * event: int * scheduled: int

/// The right-hand side with its derivatives, over numbers 'B that may carry derivatives themselves. Arrays are as long as the state.
type internal IFieldCalculus<'B> =
    /// Components of the state.
    abstract Size: int
    /// dest <- f(t, y).
    abstract Slope: t: float * y: 'B[] * dest: 'B[] -> unit
    /// yBar <- yBar + J^T c; the parameters' part is added to ParameterCotangent where wanted.
    abstract Pull: t: float * y: 'B[] * c: 'B[] * yBar: 'B[] * parameters: bool -> unit
    /// dest <- J v + s df/dt.
    abstract Along: t: float * y: 'B[] * s: float * v: 'B[] * dest: 'B[] -> unit
    /// Adds the gradient of c^T (J v + s df/dt) for y to yBar and for the parameters to ParameterCotangent; v is held.
    abstract PullAlong: t: float * y: 'B[] * s: float * v: 'B[] * c: 'B[] * yBar: 'B[] -> unit
    /// Values of df/dy, row-major.
    abstract Jacobian: t: float * y: 'B[] * dest: Span<float> -> unit
    /// Evaluations of the field so far, on whatever numbers.
    abstract Evaluations: int
    /// The cotangent of the parameters, to which the pulls add.
    abstract ParameterCotangent: 'B[]

/// Makes the steps of one method again over numbers 'B, and transposes them. The state of a multistep method is longer than the
/// problem's: what it remembers follows the components.
type internal IStepReplay<'B> =
    /// Numbers of the method's state; the first ones are the problem's.
    abstract StateLength: int
    /// Fills what the method remembers, at a start or after a change of the state, before the step given.
    abstract Begin: step: StepRecord * state: 'B[] -> unit
    /// The transpose of Begin, in place.
    abstract PullBegin: step: StepRecord * state: 'B[] * adjoint: 'B[] -> unit
    /// dest <- the state after the step. Remembers the step for the calls below; state must not change before them.
    abstract Step: step: StepRecord * state: 'B[] * dest: 'B[] -> unit
    /// dest <- dense output of the step last made at theta.
    abstract Interpolate: theta: float * dest: 'B[] -> unit
    /// Tells the cotangent c of the dense output at theta of the step last made, for the next Pull.
    abstract PullInterpolated: theta: float * c: 'B[] -> unit
    /// adjoint: from the cotangent of the end of the step last made to the one of its start.
    abstract Pull: adjoint: 'B[] -> unit

/// The steps of an explicit tableau.
[<Sealed>]
type internal RungeKuttaReplay<'B when 'B: struct and 'B :> IReal<'B>>(tableau: Tableau, calculus: IFieldCalculus<'B>) =
    let n = calculus.Size
    let raw = tableau.Raw
    let a = Array.append raw.A raw.Dense.ExtraA
    let c = Array.append raw.C raw.Dense.ExtraC
    let b = raw.B
    // Stages after the last one with weight (a slope at the end) and extra stages are made when output inside of the step needs them.
    let needed = 1 + Array.FindLastIndex(b, fun w -> w <> 0.0)
    let total = c.Length
    let zeros () : 'B[] = Array.zeroCreate n
    let k = Array.init total (fun _ -> zeros ())
    let g = Array.init total (fun _ -> zeros ())
    let kBar = Array.init total (fun _ -> zeros ())
    let yBar = zeros ()
    let gBar = zeros ()
    let mutable record = Unchecked.defaultof<StepRecord>
    let mutable start: 'B[] = null
    let mutable made = 0
    let mutable touched = false

    let stages (count: int) =
        for s in made .. count - 1 do
            NumberRows.combine start record.Length a[s] k s g[s]
            calculus.Slope(record.Time + c[s] * record.Length, g[s], k[s])

        made <- max made count

    let weightsAt theta =
        raw.Dense.Weights
        |> Array.map (fun row -> Array.foldBack (fun coefficient s -> theta * (coefficient + s)) row 0.0)

    let addTo (s: float) (x: 'B[]) (dest: 'B[]) = NumberRows.add s (NumberRows.doubles x) (NumberRows.doubles dest)

    interface IStepReplay<'B> with
        member _.StateLength = n
        member _.Begin(_, _) = ()
        member _.PullBegin(_, _, _) = ()

        member _.Step(step, state, dest) =
            record <- step
            start <- state
            made <- 0
            stages needed
            NumberRows.combine state step.Length b k needed dest

        member _.Interpolate(theta, dest) =
            stages total
            NumberRows.combine start record.Length (weightsAt theta) k total dest

        member _.PullInterpolated(theta, cotangent) =
            stages total
            touched <- true
            let weights = weightsAt theta
            addTo 1.0 cotangent yBar

            for s in 0 .. total - 1 do
                addTo (record.Length * weights[s]) cotangent kBar[s]

        member _.Pull adjoint =
            let count = if touched then total else needed
            addTo 1.0 adjoint yBar

            for s in 0 .. needed - 1 do
                addTo (record.Length * b[s]) adjoint kBar[s]

            for s in count - 1 .. -1 .. 0 do
                Array.Clear gBar
                calculus.Pull(record.Time + c[s] * record.Length, g[s], kBar[s], gBar, true)
                addTo 1.0 gBar yBar

                for j in 0 .. s - 1 do
                    addTo (record.Length * a[s][j]) gBar kBar[j]

                Array.Clear kBar[s]

            yBar.CopyTo(adjoint, 0)
            Array.Clear yBar
            touched <- false
