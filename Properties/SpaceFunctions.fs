namespace Continuum.Properties

open System
open Continuum
open TorchSharp

/// Random functions of a space that its grids hold exactly, with their derivatives.
[<RequireQualifiedAccess>]
module internal SpaceFunctions =

    /// The highest function that these points hold: a mode number, or the degree of a polynomial on open axes.
    let most (points: AxisPoints) =
        match points.Layout, points.Axis.Boundary with
        | _, Boundary.Open -> 3
        | PointLayout.Irregular, _ -> Int32.MaxValue
        | _, Boundary.Periodic -> (points.Count - 1) / 2
        | _, Boundary.Neumann -> points.Count - 1
        | PointLayout.Nodes, _ -> points.Count - 2
        | _ -> points.Count

    /// The derivative of order m of cos(w t + phase).
    let private wave (w: float) (phase: float) (m: int) (t: float) =
        Math.Pow(w, float m) * cos (w * t + phase + 0.5 * Math.PI * float m)

    let private cubic (random: Random) (length: float) =
        let c = Array.init 4 (fun _ -> 2.0 * random.NextDouble() - 1.0)

        fun (m: int) (t: float) ->
            let s = t / length

            Array.init 4 (fun p ->
                if p < m then
                    0.0
                else
                    let factor = Seq.fold (fun product i -> product * float (p - i)) 1.0 (seq { 0 .. m - 1 })
                    c[p] * factor * Math.Pow(s, float (p - m)))
            |> Array.sum
            |> fun sum -> sum / Math.Pow(length, float m)

    /// A random function of one axis with modes up to `most`: derivative order, then coordinate.
    let private ofAxis (random: Random) (axis: Axis) (most: int) : int -> float -> float =
        let f =
            match axis.Boundary with
            | Boundary.Periodic ->
                let k = float (random.Next(0, most + 1))
                wave (2.0 * Math.PI * k / axis.Length) (2.0 * Math.PI * random.NextDouble())
            | Boundary.Neumann -> wave (Math.PI * float (random.Next(0, most + 1)) / axis.Length) 0.0
            | Boundary.Dirichlet -> wave (Math.PI * float (random.Next(1, most + 1)) / axis.Length) (-0.5 * Math.PI)
            | _ -> cubic random axis.Length

        fun m x -> f m (x - axis.Start)

    /// A sum of eight products of such functions: orders of the derivatives, then the point.
    let random (seed: int) (domain: Domain) (most: int[]) : int[] -> float[] -> float =
        let random = Random seed

        let products =
            Array.init 8 (fun _ -> 2.0 * random.NextDouble() - 1.0, Array.map2 (ofAxis random) domain.Axes most)

        fun orders x ->
            products
            |> Array.sumBy (fun (size, factors) ->
                let mutable value = size

                for i in 0 .. x.Length - 1 do
                    value <- value * factors[i] orders[i] x[i]

                value)

    /// Their values at the points of a discretisation, in float64.
    let field (discretisation: Discretisation) (f: float[] -> float[]) : Field =
        FieldValues.ofFunction 1 torch.float64 discretisation f

    let gap (a: Field) (b: Field) = a.Values.sub(b.Values).abs().max().ToDouble()
