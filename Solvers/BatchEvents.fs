// Finding the zeros of event functions for many samples at once: each search asks for values, all are answered together.
namespace Continuum

open System
open System.Collections.Generic

/// The search for the first wanted crossing of one event function of one sample within a step, as a conversation: the
/// sequence Thetas asks for a value of the function, Reply answers before the next question. The rules are those of
/// Events.firstCrossing. values are the function on CrossingSearch.Grid; before is the sign it had at the start
/// (0: not known, then taken just after the start).
[<Sealed>]
type internal CrossingSearch(values: float[], before: int, crossing: Crossing, tolerance: float) =
    let ratio = 0.5 * (sqrt 5.0 - 1.0)

    let side x =
        if x > 0.0 then 1
        elif x < 0.0 then -1
        else 0

    let start = if before <> 0 then 0.0 else CrossingSearch.Grid[1]
    let startSign = if before <> 0 then before else side values[1]

    let point j = if j = 0 then start else CrossingSearch.Grid[j + 1]

    let value j =
        if j > 0 then
            values[j + 1]
        else
            let v = if before <> 0 then values[0] else values[1]
            // The known sign wins over a value that rounding put on the other side right after an event.
            if side v = startSign then v else 0.0

    let wanted sign =
        match crossing with
        | Either -> true
        | Rising -> sign < 0
        | Falling -> sign > 0

    let mutable reply = nan
    let mutable theta = 2.0
    // fields, because a sequence expression cannot capture mutable locals
    let mutable current = startSign
    let mutable j = 1
    let mutable low = 0.0
    let mutable high = 0.0
    let mutable fLow = 0.0
    let mutable fHigh = 0.0
    let mutable x1 = 0.0
    let mutable x2 = 0.0
    let mutable f1 = 0.0
    let mutable f2 = 0.0
    let mutable rounds = 0
    let mutable bracketed = false

    /// Minimum of sign * g on [a, b] by golden section, to the first negative value: (x1, f1).
    let dip a b (sign: float) =
        seq {
            low <- a
            high <- b
            x1 <- high - ratio * (high - low)
            x2 <- low + ratio * (high - low)
            yield x1
            f1 <- sign * reply
            yield x2
            f2 <- sign * reply
            rounds <- 0

            while rounds < 40 && f1 >= 0.0 && f2 >= 0.0 do
                rounds <- rounds + 1

                if f1 < f2 then
                    high <- x2
                    x2 <- x1
                    f2 <- f1
                    x1 <- high - ratio * (high - low)
                    yield x1
                    f1 <- sign * reply
                else
                    low <- x1
                    x1 <- x2
                    f1 <- f2
                    x2 <- low + ratio * (high - low)
                    yield x2
                    f2 <- sign * reply

            if f2 < f1 then
                x1 <- x2
                f1 <- f2
        }

    /// Whether the parabola through three samples of one sign comes close to zero between them.
    let mayDip j =
        let s = float current
        let y0, y1, y2 = s * value (j - 1), s * value j, s * value (j + 1)
        let curvature = y0 - 2.0 * y1 + y2

        curvature > 0.0
        && (let vertex = 0.5 * (y0 - y2) / curvature

            abs vertex <= 1.0 && y1 - 0.25 * (y0 - y2) * vertex < 0.5 * Math.Min(y1, Math.Min(y0, y2)))

    /// Shrinks [low, high] around the zero by the ITP method (Oliveira and Takahashi 2021); theta is on high's side.
    let refine =
        seq {
            yield low
            fLow <- reply
            yield high
            fHigh <- reply

            if side fLow <> side fHigh && fLow <> 0.0 && fHigh <> 0.0 then
                let width = high - low
                let most = Math.Ceiling(Math.Log2(Math.Max(width / (2.0 * tolerance), 1.0))) + 1.0
                rounds <- 0

                while high - low > 2.0 * tolerance && rounds < 100 do
                    let middle = 0.5 * (low + high)
                    let reach = tolerance * Math.Pow(2.0, most - float rounds) - 0.5 * (high - low)
                    let chord = (fHigh * low - fLow * high) / (fHigh - fLow)
                    let toMiddle = float (sign (middle - chord))
                    let push = 0.2 / width * (high - low) * (high - low)
                    let pushed = if push <= abs (middle - chord) then chord + toMiddle * push else middle
                    x1 <- if abs (pushed - middle) <= reach then pushed else middle - toMiddle * reach
                    rounds <- rounds + 1
                    yield x1

                    if reply = 0.0 then
                        low <- x1
                        high <- x1
                    elif side reply = side fLow then
                        low <- x1
                        fLow <- reply
                    elif side reply = side fHigh then
                        high <- x1
                        fHigh <- reply
                    else
                        rounds <- 100 // not a number: leave the bracket as it is

            theta <- high
        }

    let bracket a b =
        low <- a
        high <- b
        bracketed <- true

    /// The points of the step where every event function is evaluated beforehand: 0, just after it, and ten more.
    static member val Grid: float[] =
        [|
            yield 0.0
            yield 1e-3 / float Events.samples

            for j in 1 .. Events.samples do
                yield float j / float Events.samples
        |]

    /// The answer to the last question.
    member _.Reply
        with set value = reply <- value

    /// The crossing, or a number above 1 when there is none.
    member _.Theta = theta

    /// The questions.
    member _.Thetas =
        seq {
            while not bracketed && j <= Events.samples do
                let sign = side (value j)

                if current = 0 then
                    current <- sign
                elif sign <> current then
                    if wanted current then
                        bracket (point (j - 1)) (point j)
                    elif sign <> 0 then
                        current <- sign
                elif j < Events.samples && side (value (j + 1)) = current && mayDip j then
                    yield! dip (point (j - 1)) (point (j + 1)) (float current)

                    if f1 < 0.0 then
                        if wanted current then
                            bracket (point (j - 1)) x1
                        else
                            bracket x1 (point (j + 1)) // in through the unwanted direction, out through the wanted one

                j <- j + 1

            if bracketed then
                yield! refine
        }

/// Many searches in step.
[<RequireQualifiedAccess>]
module internal CrossingSearches =
    /// Runs every search (sample, event, search) to its end. values event thetas evaluates one event function on the whole batch,
    /// at one theta for each sample.
    let run (batch: int) (values: int -> float[] -> float[]) (searches: seq<struct (int * int * CrossingSearch)>) =
        let mutable open' = [
            for struct (sample, event, search) in searches do
                let questions: IEnumerator<float> = search.Thetas.GetEnumerator()

                if questions.MoveNext() then
                    yield struct (sample, event, search, questions)
        ]

        while not open'.IsEmpty do
            for event, group in open' |> List.groupBy (fun struct (_, event, _, _) -> event) do
                let thetas = Array.create batch 1.0

                for struct (sample, _, _, questions) in group do
                    thetas[sample] <- questions.Current

                let replies = values event thetas

                for struct (sample, _, search, _) in group do
                    search.Reply <- replies[sample]

            open' <- open' |> List.filter (fun struct (_, _, _, questions) -> questions.MoveNext())
