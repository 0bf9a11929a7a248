namespace Continuum.Properties

open System
open System.Collections.Generic
open Continuum
open TorchSharp

/// The members of Laws about maps between function spaces. Call them as members of Laws.
[<AbstractClass>]
type LawsOfOperators internal () =

    /// The laws of a map from functions to functions on a box with the same condition on every axis: the image of a sample does not depend on its batch; gradients are
    /// those of central differences; the image converges as the points are refined; and, on a torus where `translates` says so, moving the input moves the image.
    /// apply takes and gives float64 values of shape (batch, channels, points of each axis) at uniform points (`Discretisation.Uniform`), any number of points.
    /// sizes: two or more numbers of points of each axis, rising: the image on the first is compared.
    /// factor: by how much the distance from the finest must fall from each size to the next; 1 where it only may not grow.
    static member OfOperator
        (
            name: string,
            apply: Func<Tensor, Tensor>,
            dimension: int,
            length: float,
            boundary: Boundary,
            channels: int,
            sizes: IReadOnlyList<int>,
            factor: float,
            translates: bool
        ) : IReadOnlyList<LawResult> =
        ArgumentNullException.ThrowIfNull(apply, nameof apply)
        ArgumentNullException.ThrowIfNull(sizes, nameof sizes)

        if sizes.Count < 2 then
            raise (ArgumentException($"Refinement needs two sizes or more; got {sizes.Count}.", nameof sizes))

        NativeLibraries.ensure ()
        let domain = Domain.Cube(dimension, length, boundary)

        let grids =
            sizes |> Seq.map (fun n -> Discretisation.Uniform(domain, Array.create dimension n)) |> Seq.toArray

        let image (field: Field) = field.With(apply.Invoke field.Values)
        let at (field: Field) target = FieldResampling.upto target (image field)

        [|
            OperatorLaws.batchIndependence name image grids[0] channels
            OperatorLaws.gradients name image [||] grids[0] channels
            OperatorLaws.converges name at grids grids[0] channels factor

            if translates && boundary = Boundary.Periodic then
                OperatorLaws.translation name image grids[0] channels
        |]
        |> Array.AsReadOnly
        :> IReadOnlyList<LawResult>
