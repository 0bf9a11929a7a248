// What an implicit step asks of linear algebra, whatever the state is: a Jacobian, a factorisation of M - g J, solves.
namespace Continuum

open System

/// The linear systems of implicit steps for M y' = f(t, y), over any space and clock. Rosenbrock, ESDIRK and BDF steppers are
/// written against this; dense and banded matrices on arrays and batched matrices on tensors implement it.
type ILinearSystem<'S, 'T> =
    inherit IDisposable
    /// Forms the Jacobian df/dy at (t, y), where f(t, y) = slope is known. A factorisation made before stays valid for its own
    /// Jacobian until the next Factorise.
    abstract Linearise: t: 'T * y: 'S * slope: 'S -> unit
    /// df/dt at (t, y); dest is a hint, as in IStateSpace.Combine.
    abstract TimeSlope: t: 'T * y: 'S * slope: 'S * dest: 'S -> 'S
    /// Factors W = M - g J with the Jacobian last formed; false where W is singular or not finite.
    abstract Factorise: g: 'T -> bool
    /// The solution x of W x = r. dest is a hint and may be r.
    abstract Solve: r: 'S * dest: 'S -> 'S
    /// M v; v itself when M is the identity. dest is a hint.
    abstract MassTimes: v: 'S * dest: 'S -> 'S
    /// Whether M is the identity.
    abstract HasIdentityMass: bool
    /// Evaluations of the field that Jacobians and time slopes cost so far.
    abstract Evaluations: int
    /// Jacobians formed, factorisations and solves so far (Newton's counts are the stepper's).
    abstract Work: ImplicitWork

/// What an implicit stepper found in the attempted step, for those who make the step again (derivatives of a solve).
type internal IStepUnknowns<'S> =
    /// Order of the formula, for methods that vary it.
    abstract Order: int
    /// The solutions of its nonlinear systems; valid until the next Try or Accept.
    abstract Unknowns: 'S[]
