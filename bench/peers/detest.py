# Evaluations and error of published codes on the non-stiff set of Hull et al. (bench/Nonstiff.fs): the Fortran codes DOPRI5 and DOP853
# of Hairer, Norsett and Wanner (scipy.integrate.ode) and scipy's own DOP853. Needs numpy and scipy; run: python3 detest.py
import math

import numpy as np
from scipy.integrate import ode, solve_ivp

def lin(A): return lambda t,y: A@y
def C(n,kind):
    A=np.zeros((n,n))
    for i in range(n-1):
        r=1.0 if kind==1 else float(i+1)
        A[i,i]-=r; A[i+1,i]+=r
    return A
def T(n):
    return -2*np.eye(n)+np.eye(n,k=1)+np.eye(n,k=-1)
e=lambda n:np.eye(n)[0]
k2=2.95912208286;m0=1.00000597682
m=np.array([0.000954786104043,0.000285583733151,0.0000437273164546,0.0000517759138449,0.00000277777777778])
q0=np.array([3.42947415189,3.35386959711,1.35494901715,6.64145542550,5.97156957878,2.18231499728,11.2630437207,14.6952576794,6.27960525067,-30.1552268759,1.65699966404,1.43785752721,-21.1238353380,28.4465098142,15.388265967])
v0=np.array([-.557160570446,.505696783289,.230578543901,-.415570776342,.365682722812,.169143213293,-.325325669158,.189706021964,.0877265322780,-.0240476254170,-.287659532608,-.117219543175,-.176860753121,-.216393453025,-.0148647893090])
def bodies(t,s):
    q=s[:15].reshape(5,3);v=s[15:]
    r3=(q**2).sum(1)**1.5
    a=np.zeros((5,3))
    for j in range(5):
        a[j]=-(m0+m[j])*q[j]/r3[j]
        for k in range(5):
            if k!=j:
                d=q[k]-q[j]
                a[j]+=m[k]*(d/(d@d)**1.5-q[k]/r3[k])
    return np.concatenate([v,k2*a.ravel()])
def D(ep): return (lambda t,y: np.array([y[2],y[3],-y[0]/(y[0]**2+y[1]**2)**1.5,-y[1]/(y[0]**2+y[1]**2)**1.5]), [1-ep,0,0,math.sqrt((1+ep)/(1-ep))])
P={
'A1':(lambda t,y:-y,[1.]),'A2':(lambda t,y:-y**3/2,[1.]),'A3':(lambda t,y:y*math.cos(t),[1.]),
'A4':(lambda t,y:y/4*(1-y/20),[1.]),'A5':(lambda t,y:(y-t)/(y+t),[4.]),
'B1':(lambda t,y:np.array([2*(y[0]-y[0]*y[1]),-(y[1]-y[0]*y[1])]),[1.,3.]),
'B2':(lin(np.array([[-1.,1,0],[1,-2,1],[0,1,-1]])),[2.,0,1]),
'B3':(lambda t,y:np.array([-y[0],y[0]-y[1]**2,y[1]**2]),[1.,0,0]),
'B4':(lambda t,y:(lambda a:np.array([-y[1]-y[0]*y[2]/a,y[0]-y[1]*y[2]/a,y[0]/a]))(math.hypot(y[0],y[1])),[3.,0,0]),
'B5':(lambda t,y:np.array([y[1]*y[2],-y[0]*y[2],-.51*y[0]*y[1]]),[0.,1,1]),
'C1':(lin(C(10,1)),e(10)),'C2':(lin(C(10,2)),e(10)),'C3':(lin(T(10)),e(10)),'C4':(lin(T(51)),e(51)),
'C5':(bodies,np.concatenate([q0,v0])),
'D1':D(.1),'D2':D(.3),'D3':D(.5),'D4':D(.7),'D5':D(.9),
'E1':(lambda t,y:np.array([y[1],-(y[1]/(t+1)+(1-.25/(t+1)**2)*y[0])]),[.671396707141803,.0954005144474744]),
'E2':(lambda t,y:np.array([y[1],(1-y[0]**2)*y[1]-y[0]]),[2.,0]),
'E3':(lambda t,y:np.array([y[1],y[0]**3/6-y[0]+2*math.sin(2.78535*t)]),[0.,0]),
'E4':(lambda t,y:np.array([y[1],.32-.4*y[1]**2]),[30.,0]),
'E5':(lambda t,y:np.array([y[1],math.sqrt(1+y[1]**2)/(25-t)]),[0.,0]),
}

ref = {k: solve_ivp(f, (0, 20), y0, method='DOP853', rtol=3e-14, atol=1e-14).y[:, -1] for k, (f, y0) in P.items()}


def fortran(code, f, y0, tol):
    count = [0]

    def counted(t, y):
        count[0] += 1
        return f(t, y)

    r = ode(counted).set_integrator(code, rtol=tol, atol=tol, nsteps=1000000)
    r.set_initial_value(np.array(y0, float), 0.0)
    return r.integrate(20.0), count[0]


def scipys(f, y0, tol):
    s = solve_ivp(f, (0, 20), y0, method='DOP853', rtol=tol, atol=tol)
    return s.y[:, -1], s.nfev


codes = {
    'DOPRI5': lambda f, y0, tol: fortran('dopri5', f, y0, tol),
    'DOP853': lambda f, y0, tol: fortran('dop853', f, y0, tol),
    'scipy DOP853': scipys,
}
for name, code in codes.items():
    for k in range(3, 12):
        total, logs = 0, []
        for key, (f, y0) in P.items():
            y, n = code(f, y0, 10.0**-k)
            total += n
            logs.append(math.log(max(np.max(abs(y - ref[key])), 1e-17)))
        print(name, f'1e-{k}', total, f'{math.exp(np.mean(logs)):.3g}')
