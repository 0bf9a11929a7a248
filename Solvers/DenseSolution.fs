// The dense output of a whole solve, put together from that of its steps.
namespace Continuum

open System

/// Places in dense output.
[<RequireQualifiedAccess>]
module internal DenseSpan =
    /// The last of so many steps from `start` to `finish` that starts at or before t. ArgumentOutOfRangeException for a time outside.
    let inline locate
        (start: float)
        (finish: float)
        (count: int)
        ([<InlineIfLambda>] startOf: int -> float)
        (t: float)
        : int =
        let direction = if finish >= start then 1.0 else -1.0

        if not (direction * (t - start) >= 0.0 && direction * (finish - t) >= 0.0) then
            raise (
                ArgumentOutOfRangeException(
                    nameof t,
                    t,
                    $"The dense solution covers {start} to {finish}; extend the span of the solve to evaluate it at {t}."
                )
            )

        let mutable low = 0
        let mutable high = count - 1

        while low < high do
            let middle = (low + high + 1) / 2

            if direction * (t - startOf middle) >= 0.0 then
                low <- middle
            else
                high <- middle - 1

        low

/// Continuous output over all accepted steps.
[<Sealed>]
type internal DenseSolution<'S>(steps: IDenseSolution<'S>[], start: float, finish: float) =
    interface IHoldsStates<'S> with
        member _.ForEach visit =
            for step in steps do
                match step with
                | :? IHoldsStates<'S> as step -> step.ForEach visit
                | _ -> ()

    interface IDenseSolution<'S> with
        member _.Start = start
        member _.End = finish

        member _.At t =
            // After an event that moved the state, the value after it.
            let last = DenseSpan.locate start finish steps.Length (fun i -> steps[i].Start) t
            steps[last].At t
