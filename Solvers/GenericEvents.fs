// Events and changes of the state written once over numbers, and their derivatives: the implicit function theorem for an event's time,
// the saltation matrix for the state after it.
namespace Continuum

#nowarn "3535" "3536"

open System
open RealOperators

/// An event function g(t, y; p) written once over IReal.
type IGenericCondition =
    /// g(t, y; p); an event is a sign change.
    abstract Evaluate<'T when 'T: struct and 'T :> IReal<'T>> : t: 'T * y: ReadOnlySpan<'T> * p: ReadOnlySpan<'T> -> 'T

/// A change of the state, written once over IReal.
type IGenericChange =
    /// Writes the state after the change into after, which holds y before the call.
    abstract Apply<'T when 'T: struct and 'T :> IReal<'T>> :
        t: 'T * y: ReadOnlySpan<'T> * p: ReadOnlySpan<'T> * after: Span<'T> -> unit

/// An event whose time and change can be differentiated.
type GenericEvent = {
    /// Name for reports.
    Name: string
    /// The event function. Must be finite on the trajectory, and cross zero with a rate that is not zero.
    Condition: IGenericCondition
    /// Which sign changes count.
    Crossing: Crossing
    /// What happens to the state; ValueNone leaves it, and then the event only marks the time.
    Change: IGenericChange voption
    /// Stop here, after the change.
    Terminal: bool
    /// Ignore further occurrences after this many (Int32.MaxValue: no limit).
    MaxOccurrences: int
}

/// A change of the state at a known time.
type GenericDose = {
    /// When; inside the span. Its derivative is not taken.
    Time: float
    /// What happens to the state.
    Change: IGenericChange
}

/// Maps around an event, over numbers whose values are exact and whose derivatives are wanted.
module internal EventMaps =

    /// y after a time delta of value zero along the flow, to second order in delta.
    let flow<'T, 'G when 'T: struct and 'T :> IReal<'T> and 'G: struct and 'G :> IGenericField>
        (field: 'G)
        (p: 'T[])
        (t: 'T)
        (delta: 'T)
        (y: 'T[])
        : 'T[] =
        let zero = 'T.Of 0.0
        let n = y.Length
        let slope: 'T[] = Array.zeroCreate n
        field.Evaluate<'T>(t, ReadOnlySpan<'T> y, ReadOnlySpan<'T> p, Span<'T> slope)
        // f_t + J f: the second derivative of the solution.
        let moving = Array.init n (fun i -> Dual<'T>(y[i], slope[i]))
        let constant = p |> Array.map (fun p -> Dual<'T>(p, zero))
        let bend: Dual<'T>[] = Array.zeroCreate n

        field.Evaluate<Dual<'T>>(
            Dual<'T>(t, 'T.Of 1.0),
            ReadOnlySpan<Dual<'T>> moving,
            ReadOnlySpan<Dual<'T>> constant,
            Span<Dual<'T>> bend
        )

        Array.init n (fun i -> y[i] + delta * (slope[i] + 0.5 *. delta * bend[i].Tangent))

    /// The event's time as a function of the state y that the steps reached at the located time t: Newton's method for
    /// g(t + delta, flow(delta, y)) = its value at the located time, from delta = 0, where values are exact; each round gains orders.
    let time<'T, 'G when 'T: struct and 'T :> IReal<'T> and 'G: struct and 'G :> IGenericField>
        (field: 'G)
        (condition: IGenericCondition)
        (rounds: int)
        (level: float)
        (p: 'T[])
        (t: float)
        (y: 'T[])
        : 'T =
        let zero = 'T.Of 0.0
        let mutable delta = zero

        for _ in 1..rounds do
            let now = 'T.Of t + delta
            let state = flow field p ('T.Of t) delta y
            let slope: 'T[] = Array.zeroCreate y.Length
            field.Evaluate<'T>(now, ReadOnlySpan<'T> state, ReadOnlySpan<'T> p, Span<'T> slope)
            let moving = Array.init y.Length (fun i -> Dual<'T>(state[i], slope[i]))
            let constant = p |> Array.map (fun p -> Dual<'T>(p, zero))

            let g =
                condition.Evaluate<Dual<'T>>(
                    Dual<'T>(now, 'T.Of 1.0),
                    ReadOnlySpan<Dual<'T>> moving,
                    ReadOnlySpan<Dual<'T>> constant
                )

            delta <- delta - (g.Value .- level) / g.Tangent

        delta

    /// The state after a change.
    let change<'T when 'T: struct and 'T :> IReal<'T>> (map: IGenericChange) (p: 'T[]) (t: 'T) (y: 'T[]) : 'T[] =
        let after = Array.copy y
        map.Apply<'T>(t, ReadOnlySpan<'T> y, ReadOnlySpan<'T> p, Span<'T> after)
        after

    /// An event at the located time t: its time, the states just before and after it (at that time), and the state from which the solve
    /// goes on at t itself, flowed back along the new trajectory.
    let event<'T, 'G when 'T: struct and 'T :> IReal<'T> and 'G: struct and 'G :> IGenericField>
        (field: 'G)
        (event: GenericEvent)
        (rounds: int)
        (level: float)
        (p: 'T[])
        (t: float)
        (y: 'T[])
        : struct ('T * 'T[] * 'T[] * 'T[]) =
        let delta = time field event.Condition rounds level p t y
        let tau = 'T.Of t + delta
        let before = flow field p ('T.Of t) delta y

        let after =
            match event.Change with
            | ValueSome map -> change map p tau before
            | ValueNone -> before

        let resumed = if event.Terminal then after else flow field p tau (-delta) after
        struct (tau, before, after, resumed)

/// The changes of a solve over numbers 'B.
[<Sealed>]
type internal GenericChanges<'B, 'G when 'B: struct and 'B :> IReal<'B> and 'G: struct and 'G :> IGenericField>
    (field: 'G, events: GenericEvent[], doses: GenericDose[], parameters: 'B[], parameterBar: 'B[]) =
    let n = field.Size
    let degree = Nilpotency.degree<'B>

    let components (state: 'B[]) = Array.sub state 0 n

    /// The value of an event function where it was located: zero to rounding, held constant.
    let level (event: GenericEvent) (t: float) (state: 'B[]) =
        let y: float[] = Array.zeroCreate n
        let p: float[] = Array.zeroCreate parameters.Length
        NumberRows.values state y
        NumberRows.values parameters p

        event.Condition.Evaluate<Real>(Real t, Real.Of(ReadOnlySpan<float> y), Real.Of(ReadOnlySpan<float> p)).Value

    interface IChangeReplay<'B> with
        member _.Apply(time, event, scheduled, state, visit, occurrence) =
            if scheduled >= 0 then
                let after = EventMaps.change doses[scheduled].Change parameters ('B.Of time) (components state)
                after.CopyTo(state, 0)
            else
                let which = events[event]
                let y = components state

                let struct (tau, before, after, resumed) =
                    EventMaps.event field which degree (level which time state) parameters time y

                visit (TimeOf occurrence) [| tau |]
                visit (BeforeEvent occurrence) before
                visit (AfterEvent occurrence) after
                resumed.CopyTo(state, 0)

        member _.Pull(time, event, scheduled, state, adjoint, cotangent, occurrence) =
            let tape = Tape<'B>()
            let y = Array.init n (fun i -> tape.Variable state[i])
            let p = parameters |> Array.map tape.Variable

            // Seeds wait until everything is recorded.
            let outputs = ResizeArray<struct (Reverse<'B> * 'B)>()

            let add (values: Reverse<'B>[]) (c: 'B[]) =
                if not (isNull c) then
                    for i in 0 .. values.Length - 1 do
                        outputs.Add(struct (values[i], c[i]))

            if scheduled >= 0 then
                let after = EventMaps.change doses[scheduled].Change p (Reverse<'B>('B.Of time, 0, null)) y
                add after adjoint
            else
                let which = events[event]

                let struct (tau, before, after, resumed) =
                    EventMaps.event field which (degree + 1) (level which time state) p time y

                add [| tau |] (cotangent (TimeOf occurrence))
                add before (cotangent (BeforeEvent occurrence))
                add after (cotangent (AfterEvent occurrence))
                add resumed adjoint

            tape.ClearAdjoints()

            for struct (output, seed) in outputs do
                tape.Seed(output, seed)

            tape.Sweep()

            for i in 0 .. n - 1 do
                adjoint[i] <- tape.Adjoint y[i]

            for i in 0 .. p.Length - 1 do
                parameterBar[i] <- parameterBar[i] + tape.Adjoint p[i]
