namespace Continuum.Properties

#nowarn "3535" "3536"

open System
open Continuum

/// Laws of a field written over IReal, tried at one point: it must be the same function on every kind of number.
[<RequireQualifiedAccess>]
module FieldLaws =
    let private largest (a: float[]) (b: float[]) =
        Array.fold2 (fun worst x y -> max worst (abs (x - y) / (1.0 + max (abs x) (abs y)))) 0.0 a b

    let private on<'N, 'G when 'N: struct and 'N :> IReal<'N> and 'G: struct and 'G :> IGenericField>
        (number: float -> 'N)
        (field: 'G)
        (t: float)
        (y: float[])
        (p: float[])
        =
        let dydt = Array.zeroCreate<'N> field.Size
        let y = y |> Array.map number
        let p = p |> Array.map number
        field.Evaluate<'N>(number t, ReadOnlySpan<'N> y, ReadOnlySpan<'N> p, Span<'N> dydt)
        dydt

    let private values (field: 'G) t y p = on<Real, 'G> Real field t y p |> Array.map _.Value

    /// Every lane gives what double gives (to 1e-13 for elementary functions; arithmetic is equal bit for bit), whatever the other
    /// lanes hold.
    let lanesAreReal<'G when 'G: struct and 'G :> IGenericField> (field: 'G) (t: float) (y: float[]) (p: float[]) =
        let expected = values field t y p

        let worst =
            seq {
                for lane in 0 .. Lanes.Count - 1 do
                    // the point in one lane, other points in the rest
                    let number (x: float) =
                        let around = Array.init Lanes.Count (fun i -> x * (1.0 + 0.125 * float (i - lane)))
                        Lanes.Of(ReadOnlySpan<float> around)

                    largest (on<Lanes, 'G> number field t y p |> Array.map (fun l -> l[lane])) expected
            }
            |> Seq.max

        {
            Law = "lanes give what double gives"
            Holds = worst <= 1e-13
            Detail = $"largest relative difference {worst:g3}"
        }

    /// The matrix of central differences of f along its coordinates, row-major, and its estimated error.
    let private differences (f: float[] -> float[]) (x: float[]) =
        let columns =
            x
            |> Array.mapi (fun j xj ->
                let h = 1e-4 * (1.0 + abs xj)

                let slope h =
                    let at s = f (x |> Array.mapi (fun i v -> if i = j then v + s else v))
                    Array.map2 (fun a b -> (a - b) / (2.0 * h)) (at h) (at -h)

                // Richardson: fourth order
                Array.map2 (fun coarse fine -> (4.0 * fine - coarse) / 3.0) (slope h) (slope (0.5 * h)))

        Array.init (columns[0].Length * x.Length) (fun k -> columns[k % x.Length][k / x.Length])

    /// The exact derivatives with respect to state, parameters and time agree with finite differences to 1e-6.
    let derivativesAreDifferences<'G when 'G: struct and 'G :> IGenericField> (field: 'G) t (y: float[]) (p: float[]) =
        let d = FieldDerivatives<'G> field
        let jacobian = Array.zeroCreate (field.Size * field.Size)
        d.Jacobian(t, ReadOnlySpan<float> y, ReadOnlySpan<float> p, Span<float> jacobian)
        let byP = Array.zeroCreate (field.Size * field.ParameterCount)
        d.ParameterJacobian(t, ReadOnlySpan<float> y, ReadOnlySpan<float> p, Span<float> byP)
        let byT = Array.zeroCreate field.Size
        d.TimeDerivative(t, ReadOnlySpan<float> y, ReadOnlySpan<float> p, Span<float> byT)
        let inState = largest jacobian (differences (fun y -> values field t y p) y)

        let inParameters =
            if p.Length = 0 then
                0.0
            else
                largest byP (differences (fun p -> values field t y p) p)

        let inTime = largest byT (differences (fun t -> values field t[0] y p) [| t |])

        {
            Law = "exact derivatives are finite differences"
            Holds = inState <= 1e-6 && inParameters <= 1e-6 && inTime <= 1e-6
            Detail = $"largest differences: state {inState:g3}, parameters {inParameters:g3}, time {inTime:g3}"
        }

    /// w (J v) = (w J) v: the tape agrees with dual numbers, with respect to state, parameters and time, to 1e-11.
    let forwardIsReverse<'G when 'G: struct and 'G :> IGenericField> (field: 'G) t (y: float[]) (p: float[]) =
        let d = FieldDerivatives<'G> field
        let w = Array.init field.Size (fun i -> cos (1.7 * float i + 0.3))
        let v = Array.init field.Size (fun i -> sin (2.3 * float i + 0.5))
        let u = Array.init field.ParameterCount (fun i -> cos (0.9 * float i + 1.1))
        let pushed = Array.zeroCreate field.Size

        d.Directional(
            t,
            ReadOnlySpan<float> y,
            ReadOnlySpan<float> p,
            0.7,
            ReadOnlySpan<float> v,
            ReadOnlySpan<float> u,
            Span<float> pushed
        )

        let byY = Array.zeroCreate field.Size
        let byP = Array.zeroCreate field.ParameterCount

        let byT =
            d.Vjp(
                t,
                ReadOnlySpan<float> y,
                ReadOnlySpan<float> p,
                ReadOnlySpan<float> w,
                Span<float> byY,
                Span<float> byP
            )

        let dot (a: float[]) (b: float[]) = Array.fold2 (fun s x y -> s + x * y) 0.0 a b
        let forward = dot w pushed
        let reverse = dot byY v + dot byP u + 0.7 * byT
        let size = 1.0 + Array.fold2 (fun s x y -> s + abs (x * y)) 0.0 w pushed
        let difference = abs (forward - reverse) / size

        {
            Law = "reverse derivatives are forward derivatives"
            Holds = difference <= 1e-11
            Detail = $"forward {forward:g17}, reverse {reverse:g17}"
        }

    /// All laws of a field at a point, which should not be a kink of Abs, Min, Max or IfLess.
    let all<'G when 'G: struct and 'G :> IGenericField> (field: 'G) (t: float) (y: float[]) (p: float[]) = [|
        lanesAreReal field t y p
        derivativesAreDifferences field t y p
        forwardIsReverse field t y p
    |]
