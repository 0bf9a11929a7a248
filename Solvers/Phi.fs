// The functions phi_k of exponential integrators, accurate to rounding everywhere.
namespace Continuum

open System.Numerics
open TorchSharp

/// phi_0(z) = e^z and phi_(k+1)(z) = (phi_k(z) - 1/k!) / z, that is phi_k(z) = sum_j z^j / (j + k)!.
///
/// The recursion divides the absolute error by |z| and adds a rounding, so from |z| = 1 on it keeps the error of phi_1, phi_2 and
/// phi_3 below about 5 ulp of max(1, |e^z|). Below |z| = 1 the series of phi_3, cut after z^17 (the rest is under 1e-19), and
/// phi_k = z phi_(k+1) + 1/k! back from it lose nothing. Contour integrals (Kassam and Trefethen 2005) reach the same accuracy at 32
/// evaluations of e^z for each number.
[<RequireQualifiedAccess>]
module Phi =
    /// 1 / (j + 3)! for j = 0 .. 17.
    let private series =
        let mutable factorial = 2.0

        Array.init 18 (fun j ->
            factorial <- factorial * float (j + 3)
            1.0 / factorial)

    /// e^z, phi_1(z), phi_2(z), phi_3(z).
    let all (z: Complex) : struct (Complex * Complex * Complex * Complex) =
        let exponential = Complex.Exp z

        if Complex.Abs z < 1.0 then
            let mutable third = Complex.Zero

            for j in series.Length - 1 .. -1 .. 0 do
                third <- third * z + Complex(series[j], 0.0)

            let second = z * third + Complex(0.5, 0.0)
            struct (exponential, z * second + Complex.One, second, third)
        else
            let first = (exponential - Complex.One) / z
            let second = (first - Complex.One) / z
            struct (exponential, first, second, (second - Complex(0.5, 0.0)) / z)

    /// The same on a tensor (float64 or complex128), recorded where gradients are on.
    let internal tensors (z: Tensor) : Tensor[] =
        let one = torch.ones_like z
        let small = z.abs().lt(1.0)
        // Each branch sees only arguments on which it is defined, so that no NaN enters the other's gradient.
        let near = torch.where (small, z, torch.zeros_like z)
        let far = torch.where (small, one, z)
        let mutable third = z.full_like series[series.Length - 1]

        for j in series.Length - 2 .. -1 .. 0 do
            third <- third.mul(near).add(series[j])

        let second = near.mul(third).add(0.5)
        let first = near.mul(second).add(1.0)
        let exponential = z.exp ()
        let farFirst = far.exp().sub(one).div far
        let farSecond = farFirst.sub(one).div far
        let farThird = farSecond.sub(one.mul 0.5).div far

        [|
            exponential
            torch.where (small, first, farFirst)
            torch.where (small, second, farSecond)
            torch.where (small, third, farThird)
        |]
