import type { MessageTable } from "../message.ts";

/** Field facts of the public Kubernetes API types; the notation is explained in `message.ts`. */
export const groups: MessageTable = {
  "admissionregistration.v1": {
    MatchCondition: "name!=1:string expression!=2:string",
    MutatingWebhook:
      "name!=1:string clientConfig!=2:WebhookClientConfig rules=3:[]RuleWithOperations@atomic failurePolicy?=4:string matchPolicy?=9:string namespaceSelector?=5:meta.v1.LabelSelector objectSelector?=11:meta.v1.LabelSelector sideEffects?!=6:string timeoutSeconds?=7:int32 admissionReviewVersions!=8:[]string@atomic reinvocationPolicy?=10:string matchConditions=12:[]MatchCondition~merge(name)@map(name)",
    MutatingWebhookConfiguration: "metadata=1:meta.v1.ObjectMeta webhooks=2:[]MutatingWebhook~merge(name)@map(name)",
    Rule: "apiGroups=1:[]string@atomic apiVersions=2:[]string@atomic resources=3:[]string@atomic scope?=4:string",
    RuleWithOperations: "operations=1:[]string@atomic ^=2:Rule",
    ServiceReference: "namespace!=1:string name!=2:string path?=3:string port?=4:int32",
    ValidatingWebhook:
      "name!=1:string clientConfig!=2:WebhookClientConfig rules=3:[]RuleWithOperations@atomic failurePolicy?=4:string matchPolicy?=9:string namespaceSelector?=5:meta.v1.LabelSelector objectSelector?=10:meta.v1.LabelSelector sideEffects?!=6:string timeoutSeconds?=7:int32 admissionReviewVersions!=8:[]string@atomic matchConditions=11:[]MatchCondition~merge(name)@map(name)",
    ValidatingWebhookConfiguration:
      "metadata=1:meta.v1.ObjectMeta webhooks=2:[]ValidatingWebhook~merge(name)@map(name)",
    WebhookClientConfig: "url?=3:string service?=1:ServiceReference caBundle=2:bytes",
  },
  "apps.v1": {
    DaemonSet: "metadata=1:meta.v1.ObjectMeta spec!=2:DaemonSetSpec status=3:DaemonSetStatus",
    DaemonSetCondition: "type=1:string status=2:string lastTransitionTime=3:time reason=4:string message=5:string",
    DaemonSetSpec:
      "selector?!=1:meta.v1.LabelSelector template!=2:core.v1.PodTemplateSpec updateStrategy=3:DaemonSetUpdateStrategy minReadySeconds=4:int32 revisionHistoryLimit?=6:int32",
    DaemonSetStatus:
      "currentNumberScheduled!=1:int32 numberMisscheduled!=2:int32 desiredNumberScheduled!=3:int32 numberReady!=4:int32 observedGeneration=5:int64 updatedNumberScheduled=6:int32 numberAvailable=7:int32 numberUnavailable=8:int32 collisionCount?=9:int32 conditions=10:[]DaemonSetCondition~merge(type)@map(type)",
    DaemonSetUpdateStrategy: "type=1:string rollingUpdate?=2:RollingUpdateDaemonSet",
    Deployment: "metadata=1:meta.v1.ObjectMeta spec!=2:DeploymentSpec status=3:DeploymentStatus",
    DeploymentCondition:
      "type=1:string status=2:string lastUpdateTime=6:time lastTransitionTime=7:time reason=4:string message=5:string",
    DeploymentSpec:
      "replicas?=1:int32 selector?!=2:meta.v1.LabelSelector template!=3:core.v1.PodTemplateSpec strategy=4:DeploymentStrategy~retainKeys minReadySeconds=5:int32 revisionHistoryLimit?=6:int32 paused=7:bool progressDeadlineSeconds?=9:int32",
    DeploymentStatus:
      "observedGeneration=1:int64 replicas=2:int32 updatedReplicas=3:int32 readyReplicas=7:int32 availableReplicas=4:int32 unavailableReplicas=5:int32 terminatingReplicas?=9:int32 conditions=6:[]DeploymentCondition~merge(type)@map(type) collisionCount?=8:int32",
    DeploymentStrategy: "type=1:string rollingUpdate?=2:RollingUpdateDeployment",
    ReplicaSet: "metadata=1:meta.v1.ObjectMeta spec!=2:ReplicaSetSpec status=3:ReplicaSetStatus",
    ReplicaSetCondition: "type=1:string status=2:string lastTransitionTime=3:time reason=4:string message=5:string",
    ReplicaSetSpec:
      "replicas?=1:int32 minReadySeconds=4:int32 selector?!=2:meta.v1.LabelSelector template=3:core.v1.PodTemplateSpec",
    ReplicaSetStatus:
      "replicas!=1:int32 fullyLabeledReplicas=2:int32 readyReplicas=4:int32 availableReplicas=5:int32 terminatingReplicas?=7:int32 observedGeneration=3:int64 conditions=6:[]ReplicaSetCondition~merge(type)@map(type)",
    RollingUpdateDaemonSet: "maxUnavailable?=1:intOrString maxSurge?=2:intOrString",
    RollingUpdateDeployment: "maxUnavailable?=1:intOrString maxSurge?=2:intOrString",
    RollingUpdateStatefulSetStrategy: "partition?=1:int32 maxUnavailable?=2:intOrString",
    StatefulSet: "metadata=1:meta.v1.ObjectMeta spec!=2:StatefulSetSpec status=3:StatefulSetStatus",
    StatefulSetCondition: "type=1:string status=2:string lastTransitionTime=3:time reason=4:string message=5:string",
    StatefulSetOrdinals: "start=1:int32",
    StatefulSetPersistentVolumeClaimRetentionPolicy: "whenDeleted=1:string whenScaled=2:string",
    StatefulSetSpec:
      "replicas?=1:int32 selector?!=2:meta.v1.LabelSelector template!=3:core.v1.PodTemplateSpec volumeClaimTemplates=4:[]core.v1.PersistentVolumeClaim@atomic serviceName=5:string podManagementPolicy=6:string updateStrategy=7:StatefulSetUpdateStrategy revisionHistoryLimit?=8:int32 minReadySeconds=9:int32 persistentVolumeClaimRetentionPolicy?=10:StatefulSetPersistentVolumeClaimRetentionPolicy ordinals?=11:StatefulSetOrdinals",
    StatefulSetStatus:
      "observedGeneration=1:int64 replicas!=2:int32 readyReplicas=3:int32 currentReplicas=4:int32 updatedReplicas=5:int32 currentRevision=6:string updateRevision=7:string collisionCount?=9:int32 conditions=10:[]StatefulSetCondition~merge(type)@map(type) availableReplicas=11:int32",
    StatefulSetUpdateStrategy: "type=1:string rollingUpdate?=2:RollingUpdateStatefulSetStrategy",
  },
  "authentication.v1": {
    BoundObjectReference: "kind=1:string apiVersion=2:string name=3:string uid=4:string",
    SelfSubjectReview: "metadata=1:meta.v1.ObjectMeta status=2:SelfSubjectReviewStatus",
    SelfSubjectReviewStatus: "userInfo=1:UserInfo",
    TokenRequest: "metadata=1:meta.v1.ObjectMeta spec=2:TokenRequestSpec status=3:TokenRequestStatus",
    TokenRequestSpec: "audiences=1:[]string@atomic expirationSeconds?=4:int64 boundObjectRef?=3:BoundObjectReference",
    TokenRequestStatus: "token=1:string expirationTimestamp=2:time",
    TokenReview: "metadata=1:meta.v1.ObjectMeta spec!=2:TokenReviewSpec status=3:TokenReviewStatus",
    TokenReviewSpec: "token!=1:string audiences=2:[]string@atomic",
    TokenReviewStatus: "authenticated=1:bool user=2:UserInfo audiences=4:[]string@atomic error=3:string",
    UserInfo: "username=1:string uid=2:string groups=3:[]string@atomic extra=4:{}extra",
  },
  "authorization.v1": {
    FieldSelectorAttributes: "rawSelector=1:string requirements=2:[]meta.v1.FieldSelectorRequirement@atomic",
    LabelSelectorAttributes: "rawSelector=1:string requirements=2:[]meta.v1.LabelSelectorRequirement@atomic",
    LocalSubjectAccessReview:
      "metadata=1:meta.v1.ObjectMeta spec!=2:SubjectAccessReviewSpec status=3:SubjectAccessReviewStatus",
    NonResourceAttributes: "path=1:string verb=2:string",
    NonResourceRule: "verbs!=1:[]string@atomic nonResourceURLs=2:[]string@atomic",
    ResourceAttributes:
      "namespace=1:string verb=2:string group=3:string version=4:string resource=5:string subresource=6:string name=7:string fieldSelector?=8:FieldSelectorAttributes labelSelector?=9:LabelSelectorAttributes",
    ResourceRule:
      "verbs!=1:[]string@atomic apiGroups=2:[]string@atomic resources=3:[]string@atomic resourceNames=4:[]string@atomic",
    SelfSubjectAccessReview:
      "metadata=1:meta.v1.ObjectMeta spec!=2:SelfSubjectAccessReviewSpec status=3:SubjectAccessReviewStatus",
    SelfSubjectAccessReviewSpec:
      "resourceAttributes?=1:ResourceAttributes nonResourceAttributes?=2:NonResourceAttributes",
    SelfSubjectRulesReview:
      "metadata=1:meta.v1.ObjectMeta spec!=2:SelfSubjectRulesReviewSpec status=3:SubjectRulesReviewStatus",
    SelfSubjectRulesReviewSpec: "namespace=1:string",
    SubjectAccessReview:
      "metadata=1:meta.v1.ObjectMeta spec!=2:SubjectAccessReviewSpec status=3:SubjectAccessReviewStatus",
    SubjectAccessReviewSpec:
      "resourceAttributes?=1:ResourceAttributes nonResourceAttributes?=2:NonResourceAttributes user=3:string groups=4:[]string@atomic extra=5:{}extra uid=6:string",
    SubjectAccessReviewStatus: "allowed!=1:bool denied=4:bool reason=2:string evaluationError=3:string",
    SubjectRulesReviewStatus:
      "resourceRules!=1:[]ResourceRule@atomic nonResourceRules!=2:[]NonResourceRule@atomic incomplete!=3:bool evaluationError=4:string",
  },
  "autoscaling.v1": {
    CrossVersionObjectReference: "@atomic kind!=1:string name!=2:string apiVersion=3:string",
    HorizontalPodAutoscaler:
      "metadata=1:meta.v1.ObjectMeta spec!=2:HorizontalPodAutoscalerSpec status=3:HorizontalPodAutoscalerStatus",
    HorizontalPodAutoscalerSpec:
      "scaleTargetRef!=1:CrossVersionObjectReference minReplicas?=2:int32 maxReplicas!=3:int32 targetCPUUtilizationPercentage?=4:int32",
    HorizontalPodAutoscalerStatus:
      "observedGeneration?=1:int64 lastScaleTime?=2:time currentReplicas!=3:int32 desiredReplicas!=4:int32 currentCPUUtilizationPercentage?=5:int32",
    Scale: "metadata=1:meta.v1.ObjectMeta spec=2:ScaleSpec status=3:ScaleStatus",
    ScaleSpec: "replicas=1:int32",
    ScaleStatus: "replicas!=1:int32 selector=2:string",
  },
  "autoscaling.v2": {
    ContainerResourceMetricSource: "name!=1:string target!=2:MetricTarget container!=3:string",
    ContainerResourceMetricStatus: "name!=1:string current!=2:MetricValueStatus container!=3:string",
    CrossVersionObjectReference: "kind!=1:string name!=2:string apiVersion=3:string",
    ExternalMetricSource: "metric!=1:MetricIdentifier target!=2:MetricTarget",
    ExternalMetricStatus: "metric!=1:MetricIdentifier current!=2:MetricValueStatus",
    HPAScalingPolicy: "type!=1:string value!=2:int32 periodSeconds!=3:int32",
    HPAScalingRules:
      "stabilizationWindowSeconds?=3:int32 selectPolicy?=1:string policies=2:[]HPAScalingPolicy@atomic tolerance?=4:quantity",
    HorizontalPodAutoscaler:
      "metadata=1:meta.v1.ObjectMeta spec!=2:HorizontalPodAutoscalerSpec status=3:HorizontalPodAutoscalerStatus",
    HorizontalPodAutoscalerBehavior: "scaleUp?=1:HPAScalingRules scaleDown?=2:HPAScalingRules",
    HorizontalPodAutoscalerCondition:
      "type!=1:string status!=2:string lastTransitionTime=3:time reason=4:string message=5:string observedGeneration?=6:int64",
    HorizontalPodAutoscalerSpec:
      "scaleTargetRef!=1:CrossVersionObjectReference minReplicas?=2:int32 maxReplicas!=3:int32 metrics=4:[]MetricSpec@atomic behavior?=5:HorizontalPodAutoscalerBehavior",
    HorizontalPodAutoscalerStatus:
      "observedGeneration?=1:int64 lastScaleTime?=2:time currentReplicas=3:int32 desiredReplicas!=4:int32 currentMetrics=5:[]MetricStatus@atomic conditions=6:[]HorizontalPodAutoscalerCondition~merge(type)@map(type)",
    MetricIdentifier: "name!=1:string selector?=2:meta.v1.LabelSelector",
    MetricSpec:
      "type!=1:string object?=2:ObjectMetricSource pods?=3:PodsMetricSource resource?=4:ResourceMetricSource containerResource?=7:ContainerResourceMetricSource external?=5:ExternalMetricSource",
    MetricStatus:
      "type!=1:string object?=2:ObjectMetricStatus pods?=3:PodsMetricStatus resource?=4:ResourceMetricStatus containerResource?=7:ContainerResourceMetricStatus external?=5:ExternalMetricStatus",
    MetricTarget: "type!=1:string value?=2:quantity averageValue?=3:quantity averageUtilization?=4:int32",
    MetricValueStatus: "value?=1:quantity averageValue?=2:quantity averageUtilization?=3:int32",
    ObjectMetricSource:
      "describedObject!=1:CrossVersionObjectReference target!=2:MetricTarget metric!=3:MetricIdentifier",
    ObjectMetricStatus:
      "metric!=1:MetricIdentifier current!=2:MetricValueStatus describedObject!=3:CrossVersionObjectReference",
    PodsMetricSource: "metric!=1:MetricIdentifier target!=2:MetricTarget",
    PodsMetricStatus: "metric!=1:MetricIdentifier current!=2:MetricValueStatus",
    ResourceMetricSource: "name!=1:string target!=2:MetricTarget",
    ResourceMetricStatus: "name!=1:string current!=2:MetricValueStatus",
  },
  "batch.v1": {
    CronJob: "metadata=1:meta.v1.ObjectMeta spec!=2:CronJobSpec status=3:CronJobStatus",
    CronJobSpec:
      "schedule!=1:string timeZone?=8:string startingDeadlineSeconds?=2:int64 concurrencyPolicy=3:string suspend?=4:bool jobTemplate!=5:JobTemplateSpec successfulJobsHistoryLimit?=6:int32 failedJobsHistoryLimit?=7:int32",
    CronJobStatus: "active=1:[]core.v1.ObjectReference@atomic lastScheduleTime?=4:time lastSuccessfulTime?=5:time",
    Job: "metadata=1:meta.v1.ObjectMeta spec=2:JobSpec status=3:JobStatus",
    JobCondition:
      "type!=1:string status!=2:string lastProbeTime=3:time lastTransitionTime=4:time reason=5:string message=6:string",
    JobSpec:
      "parallelism?=1:int32 completions?=2:int32 activeDeadlineSeconds?=3:int64 podFailurePolicy?=11:PodFailurePolicy successPolicy?=16:SuccessPolicy backoffLimit?=7:int32 backoffLimitPerIndex?=12:int32 maxFailedIndexes?=13:int32 selector?=4:meta.v1.LabelSelector manualSelector?=5:bool template!=6:core.v1.PodTemplateSpec ttlSecondsAfterFinished?=8:int32 completionMode?=9:string suspend?=10:bool podReplacementPolicy?=14:string managedBy?=15:string",
    JobStatus:
      "conditions=1:[]JobCondition~merge(type)@atomic startTime?=2:time completionTime?=3:time active=4:int32 succeeded=5:int32 failed=6:int32 terminating?=11:int32 completedIndexes=7:string failedIndexes?=10:string uncountedTerminatedPods?=8:UncountedTerminatedPods ready?=9:int32",
    JobTemplateSpec: "metadata=1:meta.v1.ObjectMeta spec=2:JobSpec",
    PodFailurePolicy: "rules!=1:[]PodFailurePolicyRule@atomic",
    PodFailurePolicyOnExitCodesRequirement: "containerName?=1:string operator!=2:string values!=3:[]int32@set",
    PodFailurePolicyOnPodConditionsPattern: "type!=1:string status=2:string",
    PodFailurePolicyRule:
      "action!=1:string onExitCodes?=2:PodFailurePolicyOnExitCodesRequirement onPodConditions=3:[]PodFailurePolicyOnPodConditionsPattern@atomic",
    SuccessPolicy: "rules!=1:[]SuccessPolicyRule@atomic",
    SuccessPolicyRule: "succeededIndexes?=1:string succeededCount?=2:int32",
    UncountedTerminatedPods: "succeeded=1:[]string@set failed=2:[]string@set",
  },
  "coordination.v1": {
    Lease: "metadata=1:meta.v1.ObjectMeta spec=2:LeaseSpec",
    LeaseSpec:
      "holderIdentity?=1:string leaseDurationSeconds?=2:int32 acquireTime?=3:microtime renewTime?=4:microtime leaseTransitions?=5:int32 strategy?=6:string preferredHolder?=7:string",
  },
  "discovery.v1": {
    Endpoint:
      "addresses!=1:[]string@set conditions=2:EndpointConditions hostname?=3:string targetRef?=4:core.v1.ObjectReference deprecatedTopology=5:{}string nodeName?=6:string zone?=7:string hints?=8:EndpointHints",
    EndpointConditions: "ready?=1:bool serving?=2:bool terminating?=3:bool",
    EndpointHints: "forZones=1:[]ForZone@atomic forNodes=2:[]ForNode@atomic",
    EndpointPort: "@atomic name?=1:string protocol?=2:string port?=3:int32 appProtocol?=4:string",
    EndpointSlice:
      "metadata=1:meta.v1.ObjectMeta addressType!=4:string endpoints=2:[]Endpoint@atomic ports=3:[]EndpointPort@atomic",
    ForNode: "name!=1:string",
    ForZone: "name!=1:string",
  },
  "networking.v1": {
    HTTPIngressPath: "path=1:string pathType?!=3:string backend!=2:IngressBackend",
    HTTPIngressRuleValue: "paths!=1:[]HTTPIngressPath@atomic",
    IPBlock: "cidr!=1:string except=2:[]string@atomic",
    Ingress: "metadata=1:meta.v1.ObjectMeta spec=2:IngressSpec status=3:IngressStatus",
    IngressBackend: "service?=4:IngressServiceBackend resource?=3:core.v1.TypedLocalObjectReference",
    IngressLoadBalancerIngress: "ip=1:string hostname=2:string ports=4:[]IngressPortStatus@atomic",
    IngressLoadBalancerStatus: "ingress=1:[]IngressLoadBalancerIngress@atomic",
    IngressPortStatus: "port!=1:int32 protocol!=2:string error?=3:string",
    IngressRule: "host=1:string ^=2:IngressRuleValue",
    IngressRuleValue: "http?=1:HTTPIngressRuleValue",
    IngressServiceBackend: "name!=1:string port=2:ServiceBackendPort",
    IngressSpec:
      "ingressClassName?=4:string defaultBackend?=1:IngressBackend tls=2:[]IngressTLS@atomic rules=3:[]IngressRule@atomic",
    IngressStatus: "loadBalancer=1:IngressLoadBalancerStatus",
    IngressTLS: "hosts=1:[]string@atomic secretName=2:string",
    NetworkPolicy: "metadata=1:meta.v1.ObjectMeta spec=2:NetworkPolicySpec",
    NetworkPolicyEgressRule: "ports=1:[]NetworkPolicyPort@atomic to=2:[]NetworkPolicyPeer@atomic",
    NetworkPolicyIngressRule: "ports=1:[]NetworkPolicyPort@atomic from=2:[]NetworkPolicyPeer@atomic",
    NetworkPolicyPeer:
      "podSelector?=1:meta.v1.LabelSelector namespaceSelector?=2:meta.v1.LabelSelector ipBlock?=3:IPBlock",
    NetworkPolicyPort: "protocol?=1:string port?=2:intOrString endPort?=3:int32",
    NetworkPolicySpec:
      "podSelector=1:meta.v1.LabelSelector ingress=2:[]NetworkPolicyIngressRule@atomic egress=3:[]NetworkPolicyEgressRule@atomic policyTypes=4:[]string@atomic",
    ServiceBackendPort: "@atomic name=1:string number=2:int32",
  },
  "events.v1": {
    Event:
      "metadata=1:meta.v1.ObjectMeta eventTime!=2:microtime series?=3:EventSeries reportingController=4:string reportingInstance=5:string action=6:string reason=7:string regarding=8:core.v1.ObjectReference related?=9:core.v1.ObjectReference note=10:string type=11:string deprecatedSource=12:core.v1.EventSource deprecatedFirstTimestamp=13:time deprecatedLastTimestamp=14:time deprecatedCount=15:int32",
    EventSeries: "count!=1:int32 lastObservedTime!=2:microtime",
  },
  "policy.v1": {
    Eviction: "metadata=1:meta.v1.ObjectMeta deleteOptions?=2:meta.v1.DeleteOptions",
    PodDisruptionBudget:
      "metadata=1:meta.v1.ObjectMeta spec=2:PodDisruptionBudgetSpec status=3:PodDisruptionBudgetStatus",
    PodDisruptionBudgetSpec:
      "minAvailable?=1:intOrString selector?=2:meta.v1.LabelSelector~replace maxUnavailable?=3:intOrString unhealthyPodEvictionPolicy?=4:string",
    PodDisruptionBudgetStatus:
      "observedGeneration=1:int64 disruptedPods=2:{}time disruptionsAllowed=3:int32 currentHealthy=4:int32 desiredHealthy=5:int32 expectedPods=6:int32 conditions=7:[]meta.v1.Condition~merge(type)@map(type)",
  },
  "rbac.v1": {
    AggregationRule: "clusterRoleSelectors=1:[]meta.v1.LabelSelector@atomic",
    ClusterRole: "metadata=1:meta.v1.ObjectMeta rules=2:[]PolicyRule@atomic aggregationRule?=3:AggregationRule",
    ClusterRoleBinding: "metadata=1:meta.v1.ObjectMeta subjects=2:[]Subject@atomic roleRef!=3:RoleRef",
    PolicyRule:
      "verbs!=1:[]string@atomic apiGroups=2:[]string@atomic resources=3:[]string@atomic resourceNames=4:[]string@atomic nonResourceURLs=5:[]string@atomic",
    Role: "metadata=1:meta.v1.ObjectMeta rules=2:[]PolicyRule@atomic",
    RoleBinding: "metadata=1:meta.v1.ObjectMeta subjects=2:[]Subject@atomic roleRef!=3:RoleRef",
    RoleRef: "@atomic apiGroup=1:string kind!=2:string name!=3:string",
    Subject: "@atomic kind!=1:string apiGroup=2:string name!=3:string namespace=4:string",
  },
  "scheduling.v1": {
    PriorityClass:
      "metadata=1:meta.v1.ObjectMeta value=2:int32 globalDefault=3:bool description=4:string preemptionPolicy?=5:string",
  },
  "storage.v1": {
    StorageClass:
      "metadata=1:meta.v1.ObjectMeta provisioner!=2:string parameters=3:{}string reclaimPolicy?=4:string mountOptions=5:[]string@atomic allowVolumeExpansion?=6:bool volumeBindingMode?=7:string allowedTopologies=8:[]core.v1.TopologySelectorTerm@atomic",
  },
};
