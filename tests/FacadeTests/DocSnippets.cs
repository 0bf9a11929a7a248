using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Continuum;
using TorchSharp;
using static TorchSharp.torch;

namespace Facade;

/// <summary>The code of docs/CSharp.md, as it stands there: a page whose code does not compile or run fails here.</summary>
internal static class DocSnippets
{
    internal static IEnumerable<(string Name, Action Body)> All =>
        [
            ("docs: numbers", Numbers),
            ("docs: events", Events),
            ("docs: dense output", Dense),
            ("docs: named problems", NamedProblems),
            ("docs: failures", Failures),
            ("docs: doses and jumps", Doses),
            ("docs: stiff systems", Stiff),
            ("docs: differential-algebraic equations", Algebraic),
            ("docs: parameters fitted to data", Estimate),
            ("docs: sensitivities", Sensitivities),
            ("docs: ensembles", Ensembles),
            ("docs: tensors and gradients", Gradients),
            ("docs: every way to differentiate", Ways),
            ("docs: a neural ODE", Network),
            ("docs: fit and forecast", Forecast),
        ];

    private static void Numbers()
    {
        // numbers
        SolveOptions options = new() { RelTol = 1e-8, AbsTol = 1e-10, SaveAt = SaveAt.Grid(0, 10, 11) };
        Solution solution = Ode.Solve((t, y, dydt) => dydt[0] = -0.5 * y[0], 0, 10, [100.0], options);
        double[] curve = solution.Component(0); // at solution.Times
        double last = solution.FinalState[0];
        // end
        Check.Near(last, 100 * Math.Exp(-5), 1e-6, "the end");
        Check.Same(curve.Length, 11, "saved");
    }

    private static void Events()
    {
        // events
        OdeEvent bounce = new()
        {
            Name = "floor",
            Condition = (t, y) => y[0],
            Direction = EventDirection.Falling,
            Apply = (t, y) => y[1] = -0.9 * y[1],
        };
        Solution ball = Ode.Solve(
            (t, y, dydt) =>
            {
                dydt[0] = y[1];
                dydt[1] = -9.81;
            },
            0,
            3,
            [1.0, 0.0],
            new SolveOptions { Events = [bounce] }
        );
        foreach (EventOccurrence hit in ball.Events)
        {
            Console.WriteLine($"{hit.Name} at {hit.Time:f4}, speed {hit.Before[1]:f3} -> {hit.After[1]:f3}");
        }
        // end
        Check.Near(ball.Events[0].Time, Math.Sqrt(2 / 9.81), 1e-6, "first bounce");
    }

    private static void Dense()
    {
        // dense
        SolveOptions options = new() { Method = OdeMethod.Vern7, SaveAt = SaveAt.Dense };
        Solution solution = Ode.Solve((t, y, dydt) => dydt[0] = Math.Cos(t), 0, 10, [0.0], options);
        double[] anywhere = solution.At(3.21);
        // end
        Check.Near(anywhere[0], Math.Sin(3.21), 1e-5, "dense");
    }

    private static void NamedProblems()
    {
        // named
        MechanisticModel lorenz = MechanisticModel.Named("lorenz"); // NamedProblem.All lists them
        Solution usual = lorenz.Solve(0, 10); // usual parameters and initial state
        double[][] parameters = [.. Enumerable.Range(0, 1000).Select(i => new[] { 10, 0.028 * i, 8.0 / 3 })];
        EnsembleSolution runs = lorenz.SolveEnsemble(0, 10, parameters, options: new() { Method = OdeMethod.Tsit5 });
        Console.WriteLine($"{runs.Count} runs, {runs.Failed} failed; z = {runs.FinalState(999)[2]}");
        // end
        Check.Same(runs.Failed, 0, "failed");
        Solution one = lorenz.Solve(0, 10, parameters[999], options: new() { Method = OdeMethod.Tsit5 });
        Check.Near(runs.FinalState(999)[2], one.FinalState[2], 1e-3, "the last run");
        Check.Same(usual.Methods[0].Method, "Tsit5", "the automatic choice");
    }

    private static void Failures()
    {
        // failures
        VectorField explodes = (t, y, dydt) => dydt[0] = y[0] * y[0]; // infinite at t = 1
        try
        {
            _ = Ode.Solve(explodes, 0, 2, [1.0]);
        }
        catch (SolveException failure)
        {
            Console.WriteLine($"{failure.Status} at t = {failure.Time}: {failure.Message}");
            double[] reached = failure.Partial!.FinalState; // everything up to the failure
        }

        // Without an exception:
        if (!Ode.TrySolve(explodes, 0, 2, [1.0], out Solution partial))
        {
            Console.WriteLine(partial.Message);
        }
        // end
        Check.That(!partial.IsComplete && partial.FinalTime < 1.001, $"{partial.FinalTime}");
    }

    private static void Doses()
    {
        // doses
        SolveOptions options = new()
        {
            ScheduledChanges = [new(0, (t, y) => y[0] += 50), new(6, (t, y) => y[0] += 50)],
            Jumps = [3], // the elimination changes abruptly there
            SaveAt = SaveAt.Times(1, 5, 7, 12),
        };
        Solution dosed = Ode.Solve((t, y, dydt) => dydt[0] = (t < 3 ? -0.2 : -0.4) * y[0], 0, 12, [0.0], options);
        // end
        Check.Near(dosed.FinalState[0], ((50 * Math.Exp(-0.6 - 1.2)) + 50) * Math.Exp(-2.4), 1e-3, "two doses");
    }

    private static void Stiff()
    {
        // stiff
        SolveOptions options = new() { RelTol = 1e-7, AbsTol = 1e-12 };
        Solution solution = Ode.Solve(new Robertson(), [0.04, 3e7, 1e4], 0, 1e5, [1, 0, 0], options);
        foreach (MethodChoice choice in solution.Methods)
        {
            Console.WriteLine($"from t = {choice.Time:g3}: {choice.Method}, {choice.Reason}");
        }
        // end
        Check.Near(solution.FinalState.Sum(), 1, 1e-6, "mass");
        Check.That(solution.Methods.Count > 1, $"a stiff method was taken");
    }

    private static void Algebraic()
    {
        // algebraic
        OdeSystem system = new OdeSystem(
            (t, y, f) =>
            {
                f[0] = -0.04 * y[0] + 1e4 * y[1] * y[2];
                f[1] = -f[0] - 3e7 * y[1] * y[1];
                f[2] = y[0] + y[1] + y[2] - 1; // 0 = f[2]
            },
            size: 3
        ).WithMass([1, 1, 0]);
        Solution solution = Ode.Solve(system, 0, 1e5, [1, 0, 0], new SolveOptions { RelTol = 1e-7, AbsTol = 1e-12 });
        // end
        Check.Near(solution.FinalState.Sum(), 1, 1e-9, "the equation holds");
    }

    private static void Estimate()
    {
        Random random = new(1);
        double[] at = [.. Enumerable.Range(0, 30).Select(i => 0.4 * i)];
        double[,] values = new double[30, 1];
        for (int i = 0; i < 30; i++)
        {
            values[i, 0] = 4 / (1 + 7 * Math.Exp(-0.9 * at[i])) + 0.05 * (random.NextDouble() - 0.5);
        }

        TimeSeries data = new("t", ["n"], at, values);
        // estimate
        MechanisticModel growth = MechanisticModel.Create(
            (t, y, p, dydt) => dydt[0] = p[0] * y[0] * (1 - y[0] / p[1]),
            states: [("n", 0.5)],
            parameters: [("rate", 1), ("capacity", 5)]
        );
        ParameterFit fit = Fit.Parameters(
            growth,
            data, // a column "n"; TimeSeries.ReadCsv(path) for a file
            bounds: new Dictionary<string, Bounds>
            {
                ["rate"] = Bounds.Positive(0.3, 0.01, 10), // searched in its logarithm
                ["capacity"] = new(Start: 5, Lower: 1, Upper: 100),
            },
            priors: new Dictionary<string, Prior> { ["capacity"] = Prior.Normal(5, 2) }
        );
        Console.WriteLine(fit.Message);
        foreach (ParameterEstimate p in fit.Parameters)
        {
            Console.WriteLine($"{p.Name} = {p.Value:g4} +- {p.StandardError:g2}, 95 %: {p.Lower95:g4} to {p.Upper95:g4}");
        }

        double correlation = fit.Correlation("rate", "capacity");
        TimeSeries future = fit.Predict([15, 20]);
        // end
        Check.Near(fit["rate"].Value, 0.9, 0.05, "rate");
        Check.Near(future[1, 0], 4, 0.1, "prediction");
        Check.That(Math.Abs(correlation) < 1, $"correlation");
    }

    private static void Sensitivities()
    {
        // sensitivities
        double[] rates = [0.04, 3e7, 1e4];
        SolveOptions options = new() { RelTol = 1e-8, AbsTol = 1e-12, SaveAt = SaveAt.Times(1, 10, 100) };
        SensitivitySolution all = Ode.SolveWithSensitivities(new Robertson(), rates, 0, 100, [1, 0, 0], options);
        double slope = all.ByParameters[2][0, 1]; // d y0(100) / d p1

        LossGradient one = Ode.Gradient(
            new Robertson(),
            rates,
            0,
            100,
            [1, 0, 0],
            run => new LossDerivatives(run.States[2][0], [null, null, [1, 0, 0]]), // the loss y0(100), its derivatives for each saved state
            options
        );
        Console.WriteLine($"{one.Parameters[1]:g6} by {one.Way}: {one.Reason}");
        // end
        Check.Near(one.Parameters[1], slope, 1e-9 * Math.Abs(slope), "the same derivative");
        double Moved(double factor) =>
            Ode.Solve(new Robertson(), [0.04, 3e7 * factor, 1e4], 0, 100, [1, 0, 0], options with { Method = OdeMethod.Rodas5P, RelTol = 1e-11, AbsTol = 1e-15 }).FinalState[0];
        Check.Near(slope * 3e7, (Moved(1.001) - Moved(0.999)) / 0.002, 1e-5, "against differences");
    }

    private static void Ensembles()
    {
        // ensembles
        Random random = new(1);
        double[][] rates = [.. Enumerable.Range(0, 100).Select(_ => new[] { 0.03 + 0.02 * random.NextDouble(), 3e7, 1e4 })];
        EnsembleSolution runs = Ode.SolveEnsemble(new Robertson(), 0, 40, [[1, 0, 0]], rates, new SolveOptions { AbsTol = 1e-12 });
        double mean = Enumerable.Range(0, runs.Count).Average(i => runs.FinalState(i)[0]);
        // end
        Check.Same(runs.Failed, 0, "failed");
        Check.Near(mean, 0.7158, 0.02, "mean");
    }

    private static void Gradients()
    {
        // gradients
        using IDisposable scope = NewDisposeScope(); // frees every tensor made below

        Tensor rate = full(1, 0.5, float64, requires_grad: true);
        Tensor start = full(1, 2.0, float64, requires_grad: true);
        TensorSolveOptions options = new()
        {
            RelTol = 1e-9,
            AbsTol = 1e-12,
            Parameters = [rate], // what the function reads and whose gradient is wanted
        };

        TensorSolution solution = Ode.Solve((t, y) => -rate * y, 0, 1, start, options);
        solution.FinalState.sum().backward();
        double byStart = start.grad!.ToDouble(); // exp(-0.5)
        double byRate = rate.grad!.ToDouble(); // -2 exp(-0.5)
        // end
        Check.Near(byStart, Math.Exp(-0.5), 1e-7, "by the start");
        Check.Near(byRate, -2 * Math.Exp(-0.5), 1e-7, "by the rate");
    }

    private static void Ways()
    {
        // ways
        foreach (Gradient way in (Gradient[])[Gradient.Recorded, Gradient.Discrete(), Gradient.Backsolve(), Gradient.Reversible()])
        {
            using IDisposable scope = NewDisposeScope();
            Tensor rate = full(1, 0.5, float64, requires_grad: true);
            TensorSolveOptions options = new() { RelTol = 1e-8, AbsTol = 1e-10, Parameters = [rate], Gradient = way };
            Ode.Solve((t, y) => -rate * y, 0, 1, ones(1, float64), options).FinalState.sum().backward();
            Console.WriteLine($"{way}: {rate.grad!.ToDouble():f6}"); // -exp(-0.5)
            Check.Near(rate.grad!.ToDouble(), -Math.Exp(-0.5), 1e-5, $"{way}"); // test
        }
        // end
    }

    private static void Network()
    {
        // network
        using IDisposable scope = NewDisposeScope();
        _ = manual_seed(1);
        using var network = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2));
        using optim.Optimizer adam = optim.Adam(network.parameters(), lr: 0.01);
        TensorSolveOptions options = new() { RelTol = 1e-3, AbsTol = 1e-4, SaveAt = SaveAt.Grid(0, 1, 5) };

        Tensor start = randn(32, 2); // a batch shares its steps
        Tensor target = start * exp(-linspace(0, 1, 5)).reshape(5, 1, 1);
        for (int iteration = 0; iteration < 50; iteration++)
        {
            using IDisposable inner = NewDisposeScope();
            adam.zero_grad();
            Tensor loss = (Ode.Solve(network, 0, 1, start, options).States - target).square().mean();
            loss.backward();
            _ = adam.step();
        }
        // end
        Tensor after = (Ode.Solve(network, 0, 1, start, options).States - target).square().mean();
        Check.That(after.ToDouble() < 0.05, $"loss {after.ToDouble()}");
    }

    private static void Forecast()
    {
        string path = Path.Combine(Path.GetTempPath(), $"continuum-docs-{Guid.NewGuid():N}.csv");
        string saved = path + ".safetensors";
        File.WriteAllLines(path, Enumerable.Range(0, 20).Select(i => FormattableString.Invariant($"{i},{10 * Math.Exp(0.1 * i)}")).Prepend("t,x"));
        try
        {
            // forecast
            TimeSeries data = TimeSeries.ReadCsv(path);
            (TimeSeries train, TimeSeries test) = data.Split(14);

            FitOptions options = new() { Model = ForecastModelKind.Mechanistic, Prior = "exponential", Seed = 1, Iterations = 100 };
            using Forecaster model = Forecaster.Fit(train, options);
            model.Save(saved);

            using Forecaster again = Forecaster.Load(saved);
            TimeSeries forecast = again.Forecast(test.Times);
            TimeSeries naive = Forecaster.Persistence(train, test.Times); // what a model has to beat
            // end
            int row = test.Count - 1;
            Check.That(
                Math.Abs(forecast[row, 0] - test[row, 0]) < 0.2 * Math.Abs(naive[row, 0] - test[row, 0]),
                $"forecast {forecast[row, 0]}, truth {test[row, 0]}, persistence {naive[row, 0]}"
            );
        }
        finally
        {
            File.Delete(path);
            File.Delete(saved);
        }
    }

    // robertson
    private readonly struct Robertson : IGenericField
    {
        public int Size => 3;

        public int ParameterCount => 3;

        public void Evaluate<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> dydt)
            where T : struct, IReal<T>
        {
            T slow = p[0] * y[0];
            T fast = p[1] * y[1] * y[1];
            T back = p[2] * y[1] * y[2];
            dydt[0] = back - slow;
            dydt[1] = slow - back - fast;
            dydt[2] = fast;
        }
    }
    // end
}
