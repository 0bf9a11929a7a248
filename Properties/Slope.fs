namespace Continuum.Properties

open System

/// Observed orders of convergence.
[<RequireQualifiedAccess>]
module internal Slope =

    /// The slope of log error over log step, by least squares, over the finest three pairs before the first near rounding (1e-11).
    let observed (pairs: struct (float * float)[]) : float =
        let points =
            pairs
            |> Array.takeWhile (fun struct (_, error) -> error > 1e-11)
            |> fun kept -> Array.skip (max 0 (kept.Length - 3)) kept
            |> Array.map (fun struct (h, error) -> Math.Log h, Math.Log error)

        if points.Length < 2 then
            nan
        else
            let mx = points |> Array.averageBy fst
            let my = points |> Array.averageBy snd
            let top = points |> Array.sumBy (fun (x, y) -> (x - mx) * (y - my))
            top / (points |> Array.sumBy (fun (x, _) -> (x - mx) * (x - mx)))

    /// The pairs as text.
    let describe (pairs: struct (float * float)[]) =
        pairs |> Array.map (fun struct (h, e) -> $"h %.4f{h}: %.1e{e}") |> String.concat ", "
