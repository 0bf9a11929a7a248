// States under a diagonal linear part: arrays of real or complex numbers, and tensors.
namespace Continuum

open System
open System.Numerics
open TorchSharp

/// Arrays of real or complex numbers; the JIT compiles it for each. ofComplex drops what is zero in a real number.
[<Sealed>]
type internal ArrayDiagonal<'T when 'T: struct and 'T :> INumberBase<'T>>
    (linear: 'T[], toComplex: 'T -> Complex, ofComplex: Complex -> 'T) =
    let of' (x: float) = ofComplex (Complex(x, 0.0))

    interface IDiagonalSpace<'T[]> with
        member _.Allocate y = Array.zeroCreate y.Length

        member _.Combine(dest, e, y, c, k, from) =
            for i in 0 .. y.Length - 1 do
                let mutable sum = 'T.op_Multiply (e[i], y[i])

                for j in 0 .. from.Length - 1 do
                    sum <- 'T.op_Addition (sum, 'T.op_Multiply (c[j].[i], k[from[j]].[i]))

                dest[i] <- sum

            dest

        member _.Phi h =
            let n = linear.Length
            let result = Array.init 4 (fun _ -> Array.zeroCreate<'T> n)

            for i in 0 .. n - 1 do
                let struct (e, first, second, third) = Phi.all (Complex(h, 0.0) * toComplex linear[i])
                result[0].[i] <- ofComplex e
                result[1].[i] <- ofComplex first
                result[2].[i] <- ofComplex second
                result[3].[i] <- ofComplex third

            result

        member _.Mix(constant, w, a) =
            Array.init linear.Length (fun i ->
                let mutable sum = of' constant

                for j in 0 .. w.Length - 1 do
                    sum <- 'T.op_Addition (sum, 'T.op_Multiply (of' w[j], a[j].[i]))

                sum)

        member _.Times(a, b) = Array.map2 (fun x y -> 'T.op_Multiply (x, y)) a b
        member _.Copy y = Array.copy y
        member _.OpenScope() = null
        member _.Keep y = y
        member _.Free _ = ()

        member _.WorstComponent y =
            match y |> Array.tryFindIndex (fun x -> not ('T.IsFinite x)) with
            | Some i -> $"component {i}"
            | None -> ""

        member _.Held = [||]

/// Tensors, real or complex; the linear part broadcasts against the state. Coefficients are computed in double precision and
/// rounded to the state's dtype.
[<Sealed>]
type internal TensorDiagonal(linear: Tensor, dtype: torch.ScalarType, recording: bool) =
    // (dtype of the computation of phi functions, dtype of the coefficients)
    let wide =
        if torch.is_complex linear then
            torch.ScalarType.ComplexFloat64
        else
            torch.ScalarType.Float64

    // a copy: dense output must not change with the caller's tensor
    let exact = linear.``to``(wide).clone()

    interface IDiagonalSpace<Tensor> with
        member _.Allocate y = y

        member _.Combine(_, e, y, c, k, from) =
            let mutable sum = e.mul y

            for j in 0 .. from.Length - 1 do
                if recording then
                    sum <- sum.add (c[j].mul k[from[j]])
                else
                    use product = c[j].mul k[from[j]]
                    sum.add_ product |> ignore

            sum

        member _.Phi h = Phi.tensors (exact.mul h) |> Array.map _.``to``(dtype)

        member _.Mix(constant, w, a) =
            let mutable sum: Tensor = (exact.full_like constant).``to`` dtype

            for j in 0 .. w.Length - 1 do
                sum <- sum.add (a[j].mul(w[j]))

            sum

        member _.Times(a, b) = a.mul b
        member _.Copy y = y.alias ()
        member _.OpenScope() = torch.NewDisposeScope() :> IDisposable
        member _.Keep y = y.MoveToOuterDisposeScope()
        member _.Free y = y.Dispose()
        member _.WorstComponent _ = ""
        member _.Held = [| exact |]
