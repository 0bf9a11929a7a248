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
}
