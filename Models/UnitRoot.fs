// Does a series wander off, or does it return to a mean?
namespace Continuum

open System

/// The test of Dickey and Fuller 1979 for a random walk against a return to a mean.
[<RequireQualifiedAccess>]
module internal UnitRoot =
    /// Where the statistic of a long random walk lies below with probability 0.01 (MacKinnon 2010, constant, no trend).
    let critical = -3.43

    /// The t statistic of b in x[k+1] - x[k] = a + b x[k] + noise over all series together; NaN for fewer than four increments and for
    /// a constant.
    let statistic (series: float[][]) : float =
        let from = series |> Array.collect (fun x -> Array.sub x 0 (max 0 (x.Length - 1)))
        let change = series |> Array.collect (fun x -> Array.pairwise x |> Array.map (fun (u, v) -> v - u))
        let n = float from.Length

        if from.Length < 4 then
            nan
        else
            let meanX, meanY = Array.average from, Array.average change
            let square = from |> Array.sumBy (fun x -> (x - meanX) * (x - meanX))
            let product = Array.fold2 (fun sum x y -> sum + (x - meanX) * (y - meanY)) 0.0 from change
            let slope = product / square

            let residual =
                Array.fold2
                    (fun sum x y ->
                        let e = y - meanY - slope * (x - meanX)
                        sum + e * e)
                    0.0
                    from
                    change

            slope / sqrt (residual / (n - 2.0) / square)

    /// Whether one in a hundred random walks at most would look as if it returned to a mean as much as this.
    let returns (series: float[][]) : bool = statistic series < critical
